"""Who gets the push: people who do not exist, or a CSV, NDJSON or Parquet file of tokens.

``opening.open_audience`` is the way in; ``make.write_people`` writes files to try with; ``lookup.tokens_of``
finds the tokens of given indices again.
"""
