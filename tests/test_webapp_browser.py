"""The page as a person uses it: in a browser, by mouse and by keyboard."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_report import CHROMIUM, browser  # noqa: F401  a fixture
from test_webapp import HOSTILE, KINDS, drawing, truth, until

from sparring.images import encode_png
from sparring.webapp import background
from sparring.webapp.answers import Answers
from sparring.webapp.serving import Served, serve

FAST = 0.02  # seconds, where a person would wait longer


def folder_of_drawings(folder: Path, count: int = 120) -> Path:
    rng = np.random.default_rng(1)
    folder.mkdir()
    for i in range(count):
        (folder / f"{i:03d}-{KINDS[i % 3]}.png").write_bytes(encode_png(drawing(KINDS[i % 3], rng)))
    return folder


@pytest.fixture(scope="module")
def quick_background():
    patch = pytest.MonkeyPatch()
    for name in ("PAUSE", "FIRST_LOOK", "QUIET"):
        patch.setattr(background, name, FAST)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return folder_of_drawings(tmp_path_factory.mktemp("page") / "photos")


@pytest.fixture
def served(quick_background, photos, tmp_path):
    with serve(str(photos), out=tmp_path / "labels", pretrained="none", device="cpu") as made:
        yield made


LIKE = "document.querySelectorAll('#one-like img')"
UNNAMED = """[...document.querySelectorAll('button, input, select, a, img')].filter(e => e.checkVisibility()
  && !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()
  || e.labels?.length || e.hasAttribute('alt')))
  .map(e => e.outerHTML)"""
SMALL = """[...document.querySelectorAll('button, select, .button')].filter(e => e.checkVisibility())
  .map(e => e.getBoundingClientRect()).filter(r => r.height < 24 || r.width < 24).length"""


class Tab:
    """A tab of the browser that remembers what went wrong in it."""

    def __init__(self, browser, link: str, path: str = "/", **options):  # noqa: F811
        self.page = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options)).new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.base = link.split("/?")[0]
        self.page.goto(link)
        self.page.wait_for_url(f"{self.base}/")
        if path != "/":
            self.page.goto(f"{self.base}{path}")

    def has(self, script: str) -> None:
        """Wait until it is so. The page's own policy forbids the eval of Playwright's wait_for_function."""
        end = time.monotonic() + 20
        while not self.page.evaluate(script):
            assert time.monotonic() < end, f"{script}; {self.said}"
            self.page.wait_for_timeout(20)

    def text(self, place: str) -> str:
        return self.page.inner_text(place)

    def add_classes(self) -> None:
        for number, kind in enumerate(KINDS, 1):
            self.page.fill("#class-name", kind)
            self.page.press("#class-name", "Enter")
            self.has(f"document.querySelectorAll('#classes button').length === {number}")

    def asked(self) -> str:
        """Wait for a question, and return the name of its image."""
        self.has("!document.getElementById('asked').hidden && document.getElementById('asked').complete")
        return self.text("#asked-name")

    def all_saved(self) -> None:
        self.has("document.getElementById('saved').textContent === 'All saved'")

    def label(self, count: int) -> list[str]:
        """Answer so many questions rightly, by keys."""
        names = []
        for _ in range(count):
            names.append(self.asked())
            self.page.keyboard.press(str(1 + KINDS.index(truth(names[-1]))))
        self.all_saved()
        return names


def answers_of(served: Served) -> dict[str, str | None]:
    return {image: found.label for image, found in served.bench.answers.known().items()}


def test_look(browser, served):  # noqa: F811
    tab = Tab(browser, served.link)
    tab.has("document.querySelectorAll('.tile img').length > 40")
    tab.has("[...document.querySelectorAll('.tile img')].every(i => i.complete && i.naturalWidth === 16)")
    assert "token" not in tab.page.url and "120 images" in tab.text("#found")
    shown = tab.page.evaluate("document.querySelectorAll('.tile').length")
    assert shown < 120
    tab.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    tab.has("[...document.querySelectorAll('.tile')].some(t => t.title === '119-bar.png')")
    tab.page.fill("[name=text]", "ring")
    tab.has("document.getElementById('found').textContent === '40 images'")
    tab.page.click(".tile >> nth=1")
    tab.has("document.getElementById('one-name').textContent === '003-ring.png'")
    tab.page.keyboard.press("ArrowRight")
    tab.has("document.getElementById('one-name').textContent === '006-ring.png'")
    tab.has(
        "document.querySelectorAll('#one-like img').length === 12 || !document.getElementById('one-like-later').hidden"
    )
    tab.page.keyboard.press("0")
    tab.has("document.getElementById('one-name').textContent === '009-ring.png'")
    assert answers_of(served) == {"006-ring.png": None}
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("ArrowRight")
    assert tab.page.evaluate("document.activeElement.dataset.place") == "4"
    tab.page.fill("[name=text]", "nothing like this")
    tab.has("document.getElementById('nothing').textContent === 'No image is like that.'")
    assert not tab.said


def test_label_with_one_hand(browser, served):  # noqa: F811
    tab = Tab(browser, served.link, "/label")
    tab.add_classes()
    first = tab.label(12)
    assert answers_of(served) == {name: truth(name) for name in first}
    assert [line.why for line in served.bench.answers.lines if line.images].count("random") == 1
    odd = tab.asked()
    tab.page.keyboard.press("0")
    tab.asked()
    tab.page.keyboard.press(" ")
    tab.all_saved()
    assert answers_of(served)[odd] is None
    assert [line.kind for line in served.bench.answers.lines[-2:]] == ["none", "skip"]
    for _ in range(3):
        tab.page.keyboard.press("u")
    tab.has(f"document.getElementById('asked-name').textContent === '{first[-1]}'")
    tab.all_saved()
    assert answers_of(served) == {name: truth(name) for name in first[:-1]}
    tab.page.keyboard.press("Control+z")
    tab.has(f"document.getElementById('asked-name').textContent === '{first[-2]}'")
    tab.page.keyboard.press("?")
    assert tab.page.is_visible("#help") and "none of these" in tab.text("#help")
    tab.page.keyboard.press("Escape")
    tab.page.reload()
    tab.has("document.querySelectorAll('#classes button').length === 3")
    assert tab.asked() not in first[:-2]
    assert not tab.said


@pytest.mark.slow
def test_a_page_of_one_class_is_committed_but_for_the_odd_ones(browser, served):  # noqa: F811
    tab = Tab(browser, served.link, "/label")
    tab.add_classes()
    tab.label(15)
    tab.page.check("[value=page]", force=True)
    tab.page.select_option("#page-class", "cross")
    tab.has("document.querySelectorAll('#page-tiles .tile').length > 5")
    names = tab.page.eval_on_selector_all("#page-tiles .tile", "tiles => tiles.map(t => t.title)")
    tab.page.click("#page-tiles .tile >> nth=2")
    assert f"These {len(names) - 1} are cross" == tab.text("#commit")
    before = answers_of(served)
    tab.page.keyboard.press("Enter")
    tab.all_saved()
    committed = {*names} - {names[2]}
    until(lambda: committed <= answers_of(served).keys())
    after = answers_of(served)
    assert {image for image in after if image not in before} == committed
    assert {after[image] for image in committed} == {"cross"}
    tab.page.keyboard.press("u")
    until(lambda: answers_of(served) == before)
    assert not tab.said


@pytest.mark.slow
def test_two_tabs_and_a_server_that_starts_again(browser, quick_background, photos, tmp_path):  # noqa: F811
    first = serve(str(photos), out=tmp_path / "labels", pretrained="none", device="cpu")
    one, two = (Tab(browser, first.link, path) for path in ("/label", "/"))
    one.add_classes()
    (name,) = one.label(1)
    two.has("document.getElementById('status').textContent.includes('1 labelled')")
    two.page.fill("[name=text]", name)
    two.has("document.querySelector('.tile b')?.textContent === '" + truth(name) + "'")
    first.close()
    two.has("document.getElementById('status').textContent.startsWith('The server does not answer')")
    one.asked()
    one.page.keyboard.press("1")
    one.has("document.getElementById('saved').textContent.startsWith('1 not saved')")
    with serve(str(photos), out=tmp_path / "labels", pretrained="none", device="cpu") as second:
        three = Tab(browser, second.link, "/label")
        three.has("document.querySelectorAll('#classes button').length === 3")
        assert answers_of(second) == {name: truth(name)}


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme", "language"), [(390, "dark", "zh"), (1280, "light", "en")])
def test_every_tab_fits_and_has_names(browser, served, width, scheme, language):  # noqa: F811
    for path in ("/", "/label", "/run", "/try"):
        tab = Tab(
            browser,
            served.link,
            f"{path}?lang={language}",
            viewport={"width": width, "height": 844},
            color_scheme=scheme,
        )
        tab.has("document.getElementById('status').textContent !== ''")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert not tab.page.evaluate(UNNAMED) and not tab.page.evaluate(SMALL), path
        assert not tab.said, path


def test_hostile_names_do_nothing(browser, quick_background, tmp_path):  # noqa: F811
    folder = folder_of_drawings(tmp_path / "photos", 12)
    for place, name in enumerate(sorted(folder.iterdir())[:3]):
        name.rename(folder / f"{place}{HOSTILE.replace('/', '')}.png")
    with serve(str(folder), out=tmp_path / "labels", pretrained="none", device="cpu") as served:
        tab = Tab(browser, served.link, "/label")
        tab.page.fill("#class-name", HOSTILE)
        tab.page.press("#class-name", "Enter")
        tab.has("document.querySelectorAll('#classes button').length === 1")
        tab.asked()
        tab.page.keyboard.press("1")
        tab.all_saved()
        tab.page.goto(f"{tab.base}/")
        tab.has("document.querySelectorAll('.tile b').length === 1")
        tab.page.click(".tile >> nth=0")
        tab.has("document.getElementById('one-name').textContent.includes('onerror')")
        assert not tab.said and tab.page.evaluate("document.querySelectorAll('img[src=x]').length") == 0


@pytest.mark.slow
def test_try_a_photograph(browser, served):  # noqa: F811
    tab = Tab(browser, served.link, "/label")
    tab.add_classes()
    tab.label(9)
    tab.has("document.getElementById('status').textContent.includes('9 labelled')")
    tab.page.goto(f"{tab.base}/try")
    photograph = encode_png(drawing("ring", np.random.default_rng(9)))
    tab.page.set_input_files(
        "#files", [{"name": "new.png", "mimeType": "image/png", "buffer": photograph},
                   {"name": "text.png", "mimeType": "image/png", "buffer": b"no image"}],
    )  # fmt: skip
    tab.has("document.querySelectorAll('.bars meter').length > 0")
    tab.has("document.getElementById('tried').textContent.includes('error[bad-image]')")
    tab.page.click(".tried .classes button >> text=ring")
    tab.has("document.getElementById('tried').textContent.includes('Saved as ring')")
    assert answers_of(served)["./added/000001.png"] == "ring"
    assert (served.bench.folder / "added" / "000001.png").is_file()
    assert all("422" in said for said in tab.said)


@pytest.mark.slow
def test_a_thousand_answers_and_a_kill(browser, photos, tmp_path):  # noqa: F811
    """The command itself, killed and started again; every answer that the page called saved is there."""
    folder = folder_of_drawings(tmp_path / "photos", 1100)
    command = [sys.executable, "-m", "sparring", "app", folder, "--out", tmp_path / "labels", "--pretrained", "none"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    tab = Tab(browser, child.stdout.readline().strip(), "/label")
    tab.add_classes()
    names = []
    while len(names) < 1000:
        names += tab.label(50)
    told = time.monotonic()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    known = Answers(tmp_path / "labels", "x").known()
    assert time.monotonic() - told < 30 and {image: found.label for image, found in known.items()} == {
        name: truth(name) for name in names
    }


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("AXE"), reason="AXE names no axe.min.js: npm pack axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser, served, scheme):  # noqa: F811
    code = Path(os.environ["AXE"]).read_text(encoding="utf-8")
    tab = Tab(browser, served.link, "/label", color_scheme=scheme, bypass_csp=True)
    tab.add_classes()
    tab.label(12)
    for path, prepare in (
        ("/", "document.querySelectorAll('.tile img').length > 20"),
        ("/", "document.querySelector('.tile').click() || true"),
        ("/label", "!document.getElementById('asked').hidden"),
        ("/label", "document.querySelector('[value=page]').click() || true"),
        ("/label", "document.getElementById('help-open').click() || true"), ("/run", "true"), ("/try", "true"),
    ):  # fmt: skip
        tab.page.goto(f"{tab.base}{path}")
        tab.has("document.getElementById('status').textContent !== ''")
        tab.has(prepare)
        tab.page.wait_for_timeout(700)
        tab.page.evaluate(code)
        found = json.loads(tab.page.evaluate("axe.run().then(r => JSON.stringify(r.violations))"))
        words = [(v["id"], " ".join(v["nodes"][0]["html"].split())[:200]) for v in found]
        assert not words, (path, prepare, words)
