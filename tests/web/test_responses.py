"""Pictures by number against the real server: numbers restart with each store, so a cache asks each time."""

from __future__ import annotations

from pathlib import Path

from tests.harness.daemon_harness import wait_until
from tests.harness.web_harness import WebHarness

EXAMPLE = "/api/examples/1.jpg"
HISTORY = "/api/history/1.jpg"


def picture(site: WebHarness, path: str, known: str = '"other"') -> tuple[int, bytes, str]:
    """Return status, content and ETag of a picture, requested by a browser that has the one of `known`."""
    with site.client() as client:
        reply = client.get(path, headers={"if-none-match": known})
    assert reply.headers["cache-control"] == "private, no-cache"
    return reply.status_code, reply.content, reply.headers["etag"]


def wait_for_history(site: WebHarness) -> None:
    with site.client() as client:
        wait_until(
            lambda: "yes" if client.get(HISTORY).status_code == 200 else "",
            lambda: "no picture of a label is kept",
        )


def test_a_picture_of_the_same_number_in_another_store_is_another_picture(tmp_path: Path) -> None:
    found: dict[str, str] = {}
    for kind in ("gear", "mug"):
        (tmp_path / kind).mkdir()
        site = WebHarness(tmp_path / kind)
        site.show(kind)
        with site:
            assert site.teach(kind) == [1]
            wait_for_history(site)
            for path in (EXAMPLE, HISTORY):
                known = found.get(path, '"other"')
                status, content, etag = picture(site, path, known)
                assert (status, content[:2]) == (200, b"\xff\xd8")
                assert etag != known
                assert picture(site, path, etag) == (304, b"", etag)
                assert picture(site, path, f'"other", W/{etag}') == (304, b"", etag)
                found[path] = etag
