"""What `burst validate` says of a scenario is what `burst run` would do with it."""

import pytest

from burst.cli.main import main
from tests.unit.test_cli import burst  # noqa: F401 (a fixture)

SOUND = "audience: people.csv\nsink: apns\ncriteria: [accepted >= 99%]\n"
TOKEN = "ab" * 32


@pytest.fixture
def validate(burst, tmp_path):  # noqa: F811
    """Write files, then validate ``s.yaml``; return the exit code and all that was said."""

    def check(scenario: str, people: str = f"token,platform\n{TOKEN},ios\n", *options: str) -> tuple[int, str]:
        (tmp_path / "s.yaml").write_text(scenario)
        (tmp_path / "people.csv").write_text(people)
        code, out, err = burst("validate", "s.yaml", *options)
        return code, out + err

    return check


def test_a_sound_scenario_is_ok(validate):
    code, told = validate(SOUND)
    assert (code, told[:2]) == (0, "OK"), told


@pytest.mark.parametrize(
    ("scenario", "options", "said"),
    [
        ("sink: {apns: {endpoint: 'https://10.1.2.3:443'}}", (), "would be refused: "),
        ("sink: {apns: {endpoint: 'https://10.1.2.3:443'}}\nallow: [10.1.2.3]", (), "--allow 10.1.2.3"),
        ("sink: {apns: {endpoint: 'https://api.push.apple.com'}}\nlive: true", (), "--live"),
        ("sink: blackhole\nqueue: {redis: ['http://127.0.0.1']}", (), "would be refused: "),
    ],
)
def test_what_run_refuses_validate_refuses_with_its_code(validate, tmp_path, capsys, scenario, options, said):
    code, told = validate(scenario + "\naudience: people.csv\ncriteria: [accepted >= 99%]\n", *options)
    assert code == 2
    assert said in told
    assert "would be refused: " in told
    assert "OK" not in told
    assert main(["run", "s.yaml"]) == code
    capsys.readouterr()


def test_what_would_be_typed_can_be_typed_here_too(validate):
    aimed = SOUND.replace("sink: apns", "sink: {apns: {endpoint: 'https://10.1.2.3:443'}}\nallow: [10.1.2.3]")
    code, told = validate(aimed, f"token,platform\n{TOKEN},ios\n", "--allow", "10.1.2.3")
    assert code == 0, told


def test_an_audience_file_is_read_to_its_end(validate):
    code, told = validate(SOUND, "tokken,platform\nx,ios\n")
    assert (code, "would be refused: " in told, "token" in told) == (2, True, True), told
    code, told = validate(SOUND, f"token,platform\n{TOKEN},ios\n{TOKEN[:-2]}cd,iso\n")
    assert code == 2
    assert "people.csv:3: would be refused: " in told


def test_people_whom_the_sink_cannot_serve_are_counted_without_a_run(validate):
    rows = "".join(f"{number:064x},android\n" for number in range(700))
    code, told = validate(SOUND, "token,platform\n" + rows)
    assert code == 2
    assert "would be refused: 700 android people would go to apns, which is for ios" in told


def test_one_mistake_does_not_silence_what_is_independent_of_it(validate):
    both = "audience: {ios: 10, android: 10}\nsink: apns\ndeadline: soon\ncriteria: [accepted >= 99%]\n"
    code, told = validate(both)
    assert code == 2
    assert "'soon' is not a duration" in told
    assert "android people would go to it" in told
    code, told = validate(SOUND + "deadline: soon\n", "tokken,platform\nx,ios\n")
    assert "'soon' is not a duration" in told
    assert "people.csv:1: would be refused: " in told


def test_what_a_mistake_makes_doubtful_is_not_asked(validate):
    aimed = SOUND.replace("sink: apns", "sink: {apns: {endpoint: 'https://10.1.2.3:443'}}\nallow: 7")
    code, told = validate(aimed)
    assert code == 2
    assert "allow" in told
    assert "would be refused" not in told
