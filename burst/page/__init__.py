"""Charts and templates of the pages burst makes: the report now, the war room later."""
