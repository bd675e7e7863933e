"""The scene on the page: its state, its age and the button that learns it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit


def test_the_button_learns_the_scene_and_an_undo_restores_the_former_one(
    site: WebHarness, visit: Visit
) -> None:
    page = visit("phone").open(site.url)
    with site.client() as client:
        client.post("/api/scene", json={"action": "forget"}).raise_for_status()
    expect(page.locator("#scene")).to_have_text("Scene: not known yet")
    page.click("#learn-scene")
    expect(page.locator("#toast")).to_contain_text("The empty scene is learned")
    expect(page.locator("#scene")).to_have_text("Scene: learned just now")
    site.teach("gear")
    with site.client() as client:
        checks = client.get("/api/health").json()["checks"]
        assert any(check["name"] == "Scene" and "by a press" in check["value"] for check in checks)
        assert 'edge_daemon_scene_known{region="frame"} 1.0' in client.get("/metrics").text
        client.post("/api/scene", json={}).raise_for_status()
    page.click("#undo")
    expect(page.locator("#toast")).to_contain_text("the former one is restored")
    page.click("#learn-scene")
    page.locator("#toast").get_by_role("button", name="Undo").click()
    expect(page.locator("#toast")).to_contain_text("the former one is restored")


def test_an_unknown_region_or_action_is_refused(site: WebHarness) -> None:
    with site.client() as client:
        refused = client.post("/api/scene", json={"region": "attic"})
        assert refused.status_code == 400
        assert refused.json()["error"] == "no region 'attic'; regions are frame"
        assert client.post("/api/scene", json={"action": "paint"}).status_code == 400
