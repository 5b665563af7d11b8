"""``burst provider``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click


@click.command()
@click.option(
    "--listen",
    multiple=True,
    default=("127.0.0.1:8443",),
    show_default=True,
    metavar="[DIALECT=]ADDRESS",
    help="apns (the default), fcm, sqs, sns or http, and host:port (port 0: any) or unix:/path; may be given again.",
)
@click.option(
    "--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Serving processes behind each port."
)
@click.option("--tls/--no-tls", default=True, help="TLS with certificates it mints. Default: --tls.")
@click.option("--client-certificates", is_flag=True, help="Ask clients for a certificate.")
@click.option(
    "--behaviour",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A behaviour file (YAML). Default: a healthy and fast provider.",
)
@click.option(
    "--control",
    default="127.0.0.1:8444",
    show_default=True,
    metavar="HOST:PORT",
    help="Where its control API listens (port 0: any); loopback only. A second stand-in wants another.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keeps its keys and certificates. Default: a private one, removed at the end.",
)
@click.option(
    "--name", "names", multiple=True, help="A host name the certificate shall be good for, beside loopback's."
)
@click.option(
    "--run",
    "run_name",
    default="",
    metavar="NAME",
    help="Count who gets what of a client's own run: --audience and --witness go with it. People are known by ids in "
    "what arrives, UUIDs like RRRRRRRR-RRRR-8RRR-8000-IIIIIIIIIIII: R from the SHA-256 of NAME, I the person's number "
    "in hex (docs/provider.md, A witness by hand). A burst run keeps a witness of its own, and does not need this.",
)
@click.option(
    "--audience", type=click.IntRange(min=0), default=0, help="How many people that run has: numbers from 0 on."
)
@click.option(
    "--witness", type=click.Path(path_type=Path, file_okay=False), help="A folder for the witness of that run."
)
@click.option("--seed", type=int, default=2024, show_default=True, help="Decides which device tokens are dead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when it is ready, and nothing else.")
def provider(
    listen: tuple[str, ...],
    processes: int,
    tls: bool,
    client_certificates: bool,
    behaviour: Path | None,
    control: str,
    folder: Path | None,
    names: tuple[str, ...],
    run_name: str,
    audience: int,
    witness: Path | None,
    seed: int,
    as_json: bool,
) -> int:
    """Be a stand-in for APNs, FCM, SQS, SNS or a webhook: take what is sent, check it as they do, deliver nothing.

    Stop it with Ctrl-C. What it does is a behaviour file's to say, and its control API's while it runs.
    """
    from burst.cli.provider_words import words
    from burst.wiring.provider import ProviderCommand, provider_command

    return provider_command(
        ProviderCommand(
            listen=listen,
            processes=processes,
            tls=tls,
            client_certificates=client_certificates,
            behaviour=behaviour,
            control=control,
            folder=folder,
            names=names,
            run=run_name,
            audience=audience,
            witness=witness,
            seed=seed,
            as_json=as_json,
            words=partial(words, client_certificates=client_certificates),
        )
    )
