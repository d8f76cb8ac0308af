"""The page's server: who may ask, what it answers, what survives a kill, and what it suggests."""

import csv
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import sparring
from sparring import files
from sparring.data import imageset
from sparring.data.duplicates import Duplicates
from sparring.errors import FileFormatError, MachineError, UsageError
from sparring.images import BadImage, encode_png
from sparring.stats import wilson
from sparring.webapp import background, decoding, exports, jobs
from sparring.webapp.answers import JOURNAL, Answer, Answers
from sparring.webapp.gallery import LISTING, encoded_picture, remembered_gallery
from sparring.webapp.pages import LANGUAGES, TABS, texts
from sparring.webapp.serving import application, serve
from sparring.webapp.suggesting import HELD_SHARE, Suggester, hold_out, looked_at
from sparring.webapp.workbench import RANDOM_EVERY, Wanted, Workbench

HERE = "http://127.0.0.1:7"
HOSTILE = "<img src=x onerror=alert(1)>\"'&"
KINDS = ("ring", "cross", "bar")


def drawing(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One of three kinds of 16 x 16 pictures: easy to tell apart, and no two the same."""
    picture = rng.integers(0, 110, (16, 16, 1)).astype(np.uint8)
    x, y, bright = *rng.integers(0, 4, 2), rng.integers(150, 255)
    if kind == "ring":
        picture[2 + y : 13 + y, 1 + x : 12 + x] = bright
        picture[5 + y : 10 + y, 4 + x : 9 + x] = 30
    elif kind == "cross":
        picture[5 + y : 8 + y, :] = picture[:, 5 + x : 8 + x] = bright
    else:
        picture[:, 2 + x : 6 + x] = picture[:, 8 + x : 11 + x] = bright
    return picture


@pytest.fixture(scope="module")
def drawings() -> sparring.ImageSet:
    """90 drawings, 30 of each kind in turn, of which the first 9 have a label."""
    rng = np.random.default_rng(0)
    images = np.stack([drawing(KINDS[i % 3], rng) for i in range(90)])
    made = sparring.load((images, [KINDS[i % 3] for i in range(90)]))
    labels = np.where(np.arange(90) < 9, made.labels, -1)
    return replace(
        made, labels=labels, name="drawings", origins=tuple(f"{i:03d}-{KINDS[i % 3]}.png" for i in range(90))
    )


@pytest.fixture
def photos(tmp_path, drawings) -> Path:
    """The same as files in one folder, without labels."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for origin, image in zip(drawings.origins, drawings.images, strict=True):
        (folder / origin).write_bytes(encode_png(image))
    return folder


def equal_images(images: np.ndarray, hashes) -> Duplicates:
    """Near duplicates have tests of their own; drawings of one kind may be some, by chance."""
    cluster = np.unique(np.array(hashes), return_inverse=True)[1]
    groups = tuple(tuple(np.flatnonzero(cluster == k).tolist()) for k in np.flatnonzero(np.bincount(cluster) > 1))
    return Duplicates(groups, groups, cluster)


@pytest.fixture(autouse=True)
def only_equal_images_are_duplicates(monkeypatch):
    monkeypatch.setattr(imageset, "find_duplicates", equal_images)


@pytest.fixture
def quick(monkeypatch):
    for name in ("PAUSE", "FIRST_LOOK", "QUIET"):
        monkeypatch.setattr(background, name, 0.01)


@pytest.fixture
def desk(quick):
    """A function that opens workbenches and closes them at the end."""
    made: list[Workbench] = []

    def opened(source, folder: Path, **options) -> Workbench:
        given = {"pretrained": "none", "device": "cpu", "seed": 0, "given": {}, "model": None}
        bench = Workbench(source, folder, options.pop("reading", {}), **(given | options))
        made.append(bench)
        return bench

    yield opened
    for bench in made:
        bench.close()


def settle(bench: Workbench) -> Workbench:
    """Wait until suggestions and checks are those of all answers."""
    if not bench.background.thread.is_alive():
        bench.start()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        steps = bench.background.steps
        assert not [step for step in steps.values() if step.state == "failed"], steps
        known = bench.background.known
        fresh = known is not None and bench.background.seen_answers == len(bench.answers.lines)
        if fresh and steps["suggesting"].state == steps["checking"].state == "done":
            return bench
        time.sleep(0.01)
    raise TimeoutError(str(bench.background.steps))


def client(bench: Workbench, *, entered: bool = True) -> TestClient:
    made = TestClient(application(bench, 7, "right"), base_url=HERE, headers={"Origin": HERE})
    if entered:
        assert made.get("/?token=right").status_code == 200
    return made


def truth(image: str) -> str:
    return image.split("-")[1].split(".")[0]


# --- who may ask ------------------------------------------------------------------------------------------------------


@pytest.fixture
def web(desk, drawings, tmp_path) -> TestClient:
    return client(desk(drawings, tmp_path / "labels"))


def test_only_the_link_gives_the_cookie(desk, drawings, tmp_path):
    web = client(desk(drawings, tmp_path / "labels"), entered=False)
    for path in ("/", "/label", "/api/standing", "/picture/small/0", "/static/page.js", "/labels.csv", "/nothing"):
        assert web.get(path).status_code == 403, path
    assert web.get("/?token=wrong").status_code == 403 and not web.cookies
    assert web.get("/label?token=right").status_code == 403
    assert web.post("/?token=right").status_code == 403
    entered = web.get("/?token=right")
    said = entered.headers["set-cookie"].lower()
    assert "httponly" in said and "samesite=strict" in said and "right" not in said
    assert 'url=/"' in entered.text and "right" not in entered.text
    assert web.get("/").status_code == 200
    web.cookies.set("sparring-7", "guessed", domain="127.0.0.1")
    assert TestClient(web.app, base_url=HERE, cookies={"sparring-7": "guessed"}).get("/").status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example:7", "127.0.0.1", "127.0.0.1:8", "127.0.0.1:7.evil.example", "", "[::1]:7"]
)
def test_another_host_is_refused(web, host):
    assert web.get("/", headers={"Host": host}).status_code == 421


def test_the_name_of_this_machine_is_accepted(desk, drawings, tmp_path):
    made = client(desk(drawings, tmp_path / "labels"), entered=False)
    web = TestClient(made.app, base_url="http://localhost:7")
    assert web.get("/?token=right").status_code == 200 and web.get("/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8"},
        {"Origin": "https://127.0.0.1:7"},
        {"Origin": HERE, "Sec-Fetch-Site": "cross-site"},
        {"Origin": HERE, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_page_changes_nothing(web, headers):
    answer = web.post("/api/answer", json={"kind": "label", "images": [20], "label": "ring"}, headers=headers)
    assert answer.status_code == 403
    assert not web.app.state.bench.answers.lines
    assert web.get("/api/standing", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_what_changes_something_must_say_where_it_comes_from(web):
    web.headers.pop("Origin")
    assert web.get("/").status_code == 200
    assert web.post("/api/answer", json={"kind": "class", "label": "x"}).status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/api/standing", "/picture/small/0", "/nothing", "/api/find?only=x", "/static/page.js"]
)
def test_every_answer_is_guarded(web, path):
    for answer in (web.get(path), web.get(path, headers={"Host": "evil"})):
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2fserving.py", "/static/../serving.py", "/static/texts.json", "/static/page.html",
        "/static/%2fetc%2fpasswd", "/picture/huge/0", "/picture/small/90", "/picture/small/-1", "/picture/small/1e3",
        "/picture/small/..%2f..%2fx", "/picture/small/99999999999999999999", "/runs/..%2f../report.html",
        "/runs/1/report.html", "/runs/study/report.html",
        "/runs/1/..%2fqueue.json", "/runs/study/queue.json", "/runs/%2fetc/samples", "/answers.jsonl", "/api/answer",
    ],
)  # fmt: skip
def test_no_path_leads_anywhere(web, path):
    assert web.get(path).status_code in (400, 404, 405, 422)


def test_no_page_runs_a_script_or_style_of_its_own(web):
    for name, path in TABS.items():
        page = web.get(path).text
        assert "style=" not in page and "onclick" not in page and "javascript:" not in page
        scripts = [script.split(">")[0] for script in page.split("<script")[1:]]
        assert scripts == [' type="application/json" id="said"', f' type="module" src="/static/{name}.js"']


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b'{"kind": "label"', b'{"kind": "begun"}', b'{"kind": "undo"}',
        b'{"kind": "label", "images": ["x"], "label": "a"}', b'{"kind": "label", "images": [1e400], "label": "a"}',
        b'{"kind": "undo", "of": 5}', b'{"kind": "label"}', b'{"kind": "label", "images": [90], "label": "a"}',
        b'{"kind": "label", "images": [-1], "label": "a"}', b'{"kind": "class"}', b'{"kind": "class", "label": "-1"}',
        b'{"kind": "class", "label": "a\\u202eb"}', b'{"kind": "class", "label": "\\n"}',
        b'{"kind": "skip", "path": "/etc/passwd"}', b"[" * 100_000,
        b'{"kind": "class", "label": "' + b"x" * 300 + b'"}',
    ],
)  # fmt: skip
def test_what_cannot_be_an_answer_is_refused_by_a_sentence(web, body):
    answer = web.post("/api/answer", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"].startswith("error[")
    assert not web.app.state.bench.answers.lines


def test_only_json_is_read_and_not_too_much_of_it(web):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = web.post("/api/answer", content=b'{"kind":"class","label":"a"}', headers={"Content-Type": kind})
        assert answer.status_code == 400
    large = b'{"kind":"class","label":"' + b"a" * (34 << 20) + b'"}'
    assert web.post("/api/answer", content=large, headers={"Content-Type": "application/json"}).status_code == 413


def test_names_are_data_and_never_markup(desk, drawings, tmp_path):
    odd = replace(
        drawings,
        name=HOSTILE,
        classes=(HOSTILE, "a</script><b>", "c"),
        origins=tuple(f"{HOSTILE}{i}" for i in range(90)),
    )
    web = client(desk(odd, tmp_path / "labels"))
    for path in TABS.values():
        page = web.get(path).text
        assert "<img src=x" not in page and "</script><b>" not in page
        assert "&lt;img src=x onerror=alert(1)&gt;" in page
    (tile,) = web.post("/api/tiles", json={"images": [0]}).json()
    assert tile["name"] == f"{HOSTILE}0" and tile["label"] in odd.classes
    assert web.post("/api/answer", json={"kind": "label", "images": [20], "label": HOSTILE}).status_code == 200
    rows = list(csv.reader(io.StringIO(web.get("/labels.csv").text)))
    assert [f"{HOSTILE}20", HOSTILE] in [row[:2] for row in rows]


@pytest.mark.parametrize("header", ["zh-CN,zh;q=0.9,en;q=0.5", "ZH-tw", "de,en", ""])
def test_the_language_is_the_readers(web, header):
    page = web.get("/", headers={"Accept-Language": header}).text
    assert ("浏览" in page) == header.lower().startswith("zh")
    assert '<html lang="en">' in web.get("/?lang=en", headers={"Accept-Language": "zh"}).text
    assert '<html lang="en">' in web.get("/label", headers={"Accept-Language": "zh"}).text  # it is kept
    assert '<html lang="zh-Hans">' in web.get("/?lang=zh").text


def test_both_languages_say_everything_that_the_page_asks_for():
    here = Path(sparring.__file__).parent / "webapp"
    known = [texts(language) for language in LANGUAGES]
    assert known[0].keys() == known[1].keys() and all(all(said.values()) for said in known)
    used = set()
    for place in (*here.glob("*.js"), *here.glob("*.html")):
        text = place.read_text(encoding="utf-8")
        used |= set(re.findall(r"""\bt(?:\(|\[)"([\w-]+)""", text))
    assert used - {"export-"} <= known[0].keys(), used - known[0].keys()
    for key in known[0]:
        assert set(re.findall(r"\{\w+\}", known[0][key])) == set(re.findall(r"\{\w+\}", known[1][key])), key


# --- answers ----------------------------------------------------------------------------------------------------------


def test_the_last_answer_counts_until_it_is_taken_back(tmp_path):
    answers = Answers(tmp_path, "x")
    first = answers.add(Answer("label", ("a", "b"), "cat"))
    second = answers.add(Answer("label", ("a",), "dog"))
    assert {image: found.label for image, found in answers.known().items()} == {"a": "dog", "b": "cat"}
    answers.add(Answer("undo", of=second.number))
    assert answers.latest("a").label == "cat"
    answers.add(Answer("undo", of=first.number))
    assert answers.known() == {} and answers.classes(()) == ()
    answers.add(Answer("none", ("a",)))
    assert answers.latest("a").kind == "none"
    answers.add(Answer("skip", ("c",)))
    assert answers.skipped("c") and not answers.skipped("a")
    again = Answers(tmp_path, "x")
    assert again.lines == answers.lines and again.undone == answers.undone
    assert all(line.at and not any("user" in key for key in vars(line)) for line in again.lines)


def test_classes_come_in_the_order_in_which_they_were_added(tmp_path):
    answers = Answers(tmp_path, "x")
    answers.add(Answer("class", label=" zebra "))
    answers.add(Answer("label", ("a",), "ant"))
    answers.add(Answer("class", label="cat"))
    assert answers.classes(("cat", "dog")) == ("cat", "dog", "zebra", "ant")


def test_a_torn_line_is_no_answer_and_harms_none(tmp_path):
    answers = Answers(tmp_path, "x")
    answers.add(Answer("label", ("a",), "cat"))
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"kind": "label", "images": ["b"], "la')
    again = Answers(tmp_path, "x")
    assert list(again.known()) == ["a"]
    again.add(Answer("label", ("c",), "dog"))
    assert list(Answers(tmp_path, "x").known()) == ["a", "c"]


def test_another_version_and_another_file_are_refused(tmp_path):
    (tmp_path / JOURNAL).write_text('{"kind": "begun", "format": 99}\n')
    with pytest.raises(FileFormatError, match="another version"):
        Answers(tmp_path, "x")
    (tmp_path / JOURNAL).write_text('{"kind": "begun", "format": 1}\n{"kind": "shell", "images": ["a"]}\n')
    with pytest.raises(FileFormatError, match="'shell' is not"):
        Answers(tmp_path, "x")


def test_a_kill_loses_no_answer_that_was_told_to_be_saved(tmp_path):
    code = """
import sys
from pathlib import Path
from sparring.webapp.answers import Answer, Answers
answers = Answers(Path(sys.argv[1]), "x")
for i in range(100_000):
    answers.add(Answer("label", (f"image-{i}",), "cat"))
    print(i, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    told = -1
    while told < 150:
        told = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    told = max([told, *map(int, child.stdout.read().split("\n")[:-1])])
    child.wait()
    child.stdout.close()
    known = Answers(tmp_path, "x").known()
    assert len(known) >= told + 1 and {f"image-{i}" for i in range(told + 1)} <= known.keys()


def test_two_servers_never_write_the_same_answers(desk, drawings, tmp_path):
    first = desk(drawings, tmp_path / "labels")
    with pytest.raises(MachineError, match="in use by process"):
        desk(drawings, tmp_path / "labels")
    first.close()
    desk(drawings, tmp_path / "labels")


def test_answers_never_go_into_the_data(desk, photos):
    for folder in (photos, photos / "labels"):
        with pytest.raises(UsageError, match="is inside the data|is not empty"):
            desk(str(photos), folder)
    assert len(list(photos.iterdir())) == 90


def test_two_pages_see_each_others_answers(desk, drawings, tmp_path):
    bench = desk(drawings, tmp_path / "labels")
    one, two = client(bench), client(bench)
    before = two.get("/api/standing").json()
    one.post("/api/answer", json={"kind": "label", "images": [20], "label": "ring"})
    two.post("/api/answer", json={"kind": "label", "images": [20], "label": "bar"})
    after = one.get("/api/standing").json()
    assert after["revision"] > before["revision"] and after["labelled"] == before["labelled"] + 1
    assert one.post("/api/tiles", json={"images": [20]}).json()[0]["label"] == "bar"


# --- images -----------------------------------------------------------------------------------------------------------


def test_pictures_are_made_anew_and_kept_by_the_browser(desk, photos, tmp_path):
    Image.fromarray(np.zeros((400, 2000, 3), np.uint8)).save(photos / "000-wide.jpg")
    (photos / "000-broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    bench = settle(desk(str(photos), tmp_path / "labels"))
    web = client(bench)
    place = bench.images.place
    small = web.get(f"/picture/small/{place['003-ring.png']}")
    assert small.headers["content-type"] == "image/png" and Image.open(io.BytesIO(small.content)).size == (16, 16)
    again = web.get(f"/picture/small/{place['003-ring.png']}", headers={"If-None-Match": small.headers["etag"]})
    assert again.status_code == 304 and not again.content
    (photos / "003-ring.png").write_bytes(encode_png(np.full((16, 16, 1), 9, np.uint8)))
    changed = web.get(f"/picture/small/{place['003-ring.png']}", headers={"If-None-Match": small.headers["etag"]})
    assert changed.status_code == 200 and changed.headers["etag"] != small.headers["etag"]
    for size, width in (("small", 160), ("large", 1024)):
        wide = web.get(f"/picture/{size}/{place['000-wide.jpg']}")
        assert wide.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(wide.content)).size == (width, round(width / 5))
    broken = web.get(f"/picture/small/{place['000-broken.png']}")
    assert broken.status_code == 422 and broken.json()["error"].startswith("error[bad-image]")
    (photos / "004-cross.png").unlink()
    assert web.get(f"/picture/small/{place['004-cross.png']}").status_code == 422


def test_the_second_start_shows_the_names_of_the_first(desk, photos, tmp_path):
    first = settle(desk(str(photos), tmp_path / "labels"))
    first.close()
    (photos / "zzz-new.png").write_bytes(encode_png(np.full((16, 16, 1), 77, np.uint8)))
    second = desk(str(photos), tmp_path / "labels")
    assert len(second.images) == 90 and second.images.found is None
    web = client(second)
    assert web.get("/picture/small/5").status_code == 200
    assert web.get("/api/standing").json()["images"] == 90
    settle(second)
    assert len(second.images) == 91 and web.get("/api/standing").json()["images"] == 91
    third = remembered_gallery(tmp_path / "labels", photos, "read in another way")
    assert third is None


def test_a_remembered_name_leads_nowhere_else(tmp_path, photos):
    folder = tmp_path / "labels"
    folder.mkdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(encode_png(np.zeros((9, 9), np.uint8)))
    (photos / "link.png").symlink_to(secret)
    origins = ["../secret.png", str(secret), "link.png", "003-ring.png"]
    about = {"reads": "r", "name": "x", "classes": ["a"], "part_names": [""]}

    def keep(labels=(0, -1, 0, 0), parts=(0, 0, 0, 0), names="\0".join(origins).encode(), **other) -> None:
        words = json.dumps(about | other).encode()
        arrays = {"labels": np.array(labels), "parts": np.array(parts), "origins": np.frombuffer(names, np.uint8)}
        files.write_arrays(folder / LISTING, about=np.frombuffer(words, np.uint8), **arrays)

    keep()
    gallery = remembered_gallery(folder, photos, "r")
    for i in range(3):
        with pytest.raises(BadImage, match="not there any more"):
            gallery.picture(i, 64)
    assert gallery.picture(3, 64).kind == "image/png"
    wrong = [
        {"labels": [5, 0, 0, 0]}, {"labels": []}, {"labels": [[0, 0, 0, 0]]}, {"labels": [-2, 0, 0, 0]},
        {"parts": [0]}, {"parts": [9, 0, 0, 0]}, {"parts": [-1, 0, 0, 0]},
        {"names": b"\xff\0\0\0"}, {"names": b""}, {"classes": 5},
    ]  # fmt: skip
    for change in wrong:
        keep(**change)
        assert remembered_gallery(folder, photos, "r") is None, change
    (folder / LISTING).write_bytes(b"PK\x03\x04 damaged")
    assert remembered_gallery(folder, photos, "r") is None


def test_grey_colour_and_large_pictures_keep_their_shape():
    for shape, kind in (((20, 10, 1), "png"), ((20, 10, 3), "png"), ((300, 150, 3), "jpeg"), ((300, 150, 1), "jpeg")):
        made = encoded_picture(np.zeros(shape, np.uint8), 160)
        assert made.kind == f"image/{kind}"
        image = Image.open(io.BytesIO(made.content))
        assert image.size == ((10, 20) if shape[0] == 20 else (80, 160))


# --- filters ----------------------------------------------------------------------------------------------------------


def test_filters_keep_what_they_say(desk, drawings, tmp_path):
    parts = np.where(np.arange(90) < 30, "train", "").astype("<U6")
    twins = replace(drawings, images=drawings.images.copy(), parts=parts,
                    groups=np.array([f"g{i // 10}" for i in range(90)]))  # fmt: skip
    twins.images[50] = twins.images[40]
    bench = desk(twins, tmp_path / "labels")
    bench.add(Answer("label", ("010-cross.png",), "cross", "look"))
    bench.add(Answer("none", ("011-bar.png",), why="look"))
    settle(bench)

    def found(**wanted) -> list[int]:
        numbers = bench.find(Wanted(**wanted))
        return [] if numbers is None else numbers.tolist()

    assert bench.find(Wanted()) is None
    assert found(only="labelled") == [*range(9), 10] and len(found(only="unlabelled")) == 80
    assert found(only="answered") == [10, 11] and found(only="none") == [11]
    assert found(label="cross") == [1, 4, 7, 10] and found(label="nothing") == []
    assert found(part="train", only="unlabelled", text="RING") == [9, 12, 15, 18, 21, 24, 27]
    assert found(group="g3") == list(range(30, 40))
    assert found(only="duplicates") == [40, 50]
    proba = bench.known().suggestions.proba
    predicted = found(predicted="bar")
    assert set(predicted) == {i for i in range(90) if bench.known().classes[proba[i].argmax()] == "bar"}
    sure = [proba[i].max() for i in predicted]
    assert sure == sorted(sure)
    assert all(proba[i].max() <= 0.6 for i in found(below=0.6))
    web = client(bench)
    assert web.get("/api/find?label=cross").json() == {"total": 4, "images": [1, 4, 7, 10]}
    assert web.get("/api/find").json() == {"total": 90, "images": None}
    for wrong in ("only=everything", "below=much", "path=/etc"):
        assert web.get(f"/api/find?{wrong}").status_code == 400
    image = web.post("/api/image", json={"i": 40}).json()
    assert image["like"][0]["i"] == 50 and image["image"]["name"] == "040-cross.png" and len(image["like"]) == 12


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_a_random_share_is_held_out_and_never_asked_otherwise(desk, drawings, tmp_path):
    bench = settle(desk(drawings, tmp_path / "labels"))
    held = bench.known().suggester.held
    assert held.sum() == round(HELD_SHARE * 81) and not held[:9].any()
    asked: list = []
    for _ in range(20):
        (question,) = bench.questions("useful", 1, [])
        asked.append(question)
        bench.add(
            Answer("label", (question.name,), truth(question.name), question.why, (question.suggested or (None,))[0])
        )
        settle(bench)
    why = [question.why for question in asked]
    assert [place for place, one in enumerate(why) if one == "random"] == [9, 19] and RANDOM_EVERY == 10
    assert all(held[question.i] == (question.why == "random") for question in asked)
    assert len({question.i for question in asked}) == 20
    standing = bench.standing()
    tested = [question.i for question in asked if question.why == "random"]
    proba, classes = bench.known().suggestions.proba, bench.known().classes
    right = sum(classes[proba[i].argmax()] == truth(drawings.origins[i]) for i in tested)
    expected = wilson(right, 2)
    assert (standing.tested, standing.right, standing.low) == (2, round(expected.mean, 4), round(expected.low, 4))
    unlabelled = [i for i in range(90) if bench.known().suggestions.proba is not None and i not in tested]
    assert np.mean([classes[proba[i].argmax()] == truth(drawings.origins[i]) for i in unlabelled]) > 0.9


def test_held_out_images_never_part_from_their_twins_and_groups(drawings):
    images = replace(drawings, labels=np.full(90, -1), groups=np.array([f"g{i // 5}" for i in range(90)]))
    held = hold_out(images, 0)
    assert 0 < held.sum() < 60
    for group in np.unique(images.groups):
        assert held[images.groups == group].all() or not held[images.groups == group].any()
    assert not hold_out(replace(images, labels=drawings.labels), 0)[:10].any()  # two groups with labels
    assert (hold_out(images, 0) == held).all() and (hold_out(images, 1) != held).any()


def test_labels_of_held_out_images_teach_nothing(drawings):
    held = hold_out(drawings, 0)
    maker = Suggester(drawings, held, "none", "cpu")
    skipped = np.zeros(90, bool)
    plain = maker.suggest(drawings.labels, 3, skipped)
    wrong = np.where(held, 2, drawings.labels)
    told = maker.suggest(wrong, 3, skipped)
    assert (told.proba == plain.proba).all() and told.tested == held.sum()
    assert told.right.mean == pytest.approx((plain.proba[held].argmax(1) == 2).mean())
    assert all(not held[question.place] for question in told.order)


def test_skipped_images_and_those_the_page_has_are_not_asked(desk, drawings, tmp_path):
    bench = settle(desk(drawings, tmp_path / "labels"))
    first, second = (question.i for question in bench.questions("useful", 2, []))
    assert bench.questions("useful", 1, [first])[0].i == second
    bench.add(Answer("skip", (drawings.origins[first],), why="chosen"))
    assert bench.questions("useful", 1, [])[0].i != first
    assert first not in [question.place for question in settle(bench).known().suggestions.order]
    assert bench.questions("useful", 5, list(range(90))) == []


def test_until_images_were_compared_random_ones_are_asked_that_are_not_held_out(desk, drawings, tmp_path, monkeypatch):
    compared = threading.Event()
    monkeypatch.setattr(Suggester, "compare", lambda self, progress: compared.wait(20))
    bench = desk(drawings, tmp_path / "labels")
    assert bench.questions("useful", 3, []) == [] == bench.questions("suspects", 3, [])
    bench.start()
    until(bench.known)
    asked = bench.questions("useful", 12, [])
    held = bench.known().suggester.held
    assert [question.why for question in asked] == ["first"] * 9 + ["random"] + ["first"] * 2
    assert all(held[question.i] == (question.why == "random") for question in asked)
    compared.set()
    assert settle(bench).questions("useful", 1, [])[0].why == "chosen"


def test_a_page_of_one_class_holds_what_is_predicted_as_it(desk, drawings, tmp_path):
    bench = settle(desk(drawings, tmp_path / "labels"))
    web = client(bench)
    page = web.post("/api/page", json={"label": "ring"}).json()
    held = bench.known().suggester.held
    assert page and all(tile["predicted"] == "ring" and not held[tile["i"]] and tile["label"] is None for tile in page)
    sure = [tile["confidence"] for tile in page]
    assert sure == sorted(sure, reverse=True)
    odd, rest = page[0]["i"], [tile["i"] for tile in page[1:4]]
    web.post("/api/answer", json={"kind": "not", "images": [odd], "label": "ring", "why": "page"})
    line = web.post("/api/answer", json={"kind": "label", "images": rest, "label": "ring", "why": "page"}).json()[
        "number"
    ]
    left = [tile["i"] for tile in web.post("/api/page", json={"label": "ring"}).json()]
    assert odd not in left and not set(rest) & set(left) and len(left) == len(page) - 4
    web.post("/api/answer", json={"kind": "undo", "of": line})
    assert set(rest) <= {tile["i"] for tile in web.post("/api/page", json={"label": "ring"}).json()}
    assert web.post("/api/page", json={"label": "nothing"}).json() == []


def test_wrong_labels_are_asked_first_and_once(desk, drawings, tmp_path):
    right = np.array([drawings.classes.index(truth(origin)) for origin in drawings.origins])
    labels = right.copy()
    labels[[30, 61]] = (labels[[30, 61]] + 1) % 3
    bench = settle(desk(replace(drawings, labels=labels), tmp_path / "labels"))
    asked = bench.questions("suspects", 5, [])
    assert {30, 61} <= {question.i for question in asked} and asked[0].i in (30, 61)
    first = asked[0]
    assert first.label == drawings.classes[labels[first.i]] and first.suggested == (truth(first.name),)
    bench.add(Answer("label", (first.name,), truth(first.name), "suspect", first.suggested[0]))
    assert first.i not in [question.i for question in bench.questions("suspects", 5, [])]
    rows = {one.origin: one for one in exports.labelled_images(bench.images, bench.answers)}
    assert rows[first.name].label == truth(first.name) and rows[first.name].part == ""


def test_new_classes_and_few_images(desk, tmp_path):
    tiny = sparring.load(np.random.default_rng(0).integers(0, 255, (3, 8, 8)).astype(np.uint8))
    bench = settle(desk(tiny, tmp_path / "labels"))
    web = client(bench)
    web.post("/api/answer", json={"kind": "class", "label": "新"})
    assert web.get("/api/standing").json()["classes"] == ["新"]
    assert len(web.post("/api/questions", json={"have": []}).json()) > 0


def test_of_very_many_images_some_are_looked_at(monkeypatch):
    from sparring.webapp import suggesting

    monkeypatch.setattr(suggesting, "LOOKED_AT", 100)
    labels = np.full(1000, -1)
    assert len(looked_at(labels, 0)) == 100
    labels[:30] = 0
    here = looked_at(labels, 0)
    assert len(here) == 100 and (labels[here] >= 0).sum() == 30 and (np.diff(here) > 0).all()
    labels[:] = 0
    assert len(looked_at(labels, 0)) == 100
    labels[:20] = -1
    assert (labels[looked_at(labels, 0)] < 0).sum() == 20
    assert looked_at(np.full(50, -1), 0).tolist() == list(range(50))


# --- labels for other programs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["table", "folders", "label-studio", "fiftyone"])
def test_what_is_exported_is_read_back(desk, photos, tmp_path, form):
    bench = settle(desk(str(photos), tmp_path / "labels"))
    said = {}
    for i, why in enumerate(["chosen"] * 6 + ["random"] * 3):
        origin = bench.images.origins[i]
        said[origin] = truth(origin)
        bench.add(Answer("label", (origin,), said[origin], why, "ring"))
    bench.add(Answer("none", (bench.images.origins[20],), why="chosen"))
    place = exports.export(form, bench.folder, bench.images, bench.answers)
    if form == "folders":
        read = sparring.load(place)
        assert sorted(read.classes) == sorted(KINDS) and len(read) == 9
        assert {(o.split("/")[0], o.split("/")[1]) for o in read.origins} == {
            ("test" if i > 5 else "train", truth(bench.images.origins[i])) for i in range(9)
        }
        return
    read = sparring.load(photos, table=place)
    found = {o: read.classes[k] for o, k in zip(read.origins, read.labels, strict=True) if k >= 0}
    assert found == said and len(read) == 90
    if form in ("table", "fiftyone"):
        parts = dict(zip(read.origins, read.parts.tolist(), strict=True))
        assert {parts[origin] for origin in list(said)[:6]} == {"chosen"}
        assert {parts[origin] for origin in list(said)[6:]} == {"test"}


def test_the_table_follows_the_answers_and_names_nobody(desk, photos, tmp_path):
    bench = settle(desk(str(photos), tmp_path / "labels"))
    bench.add(Answer("label", ("=1+1.png",), "ring"))  # not among the images: kept, and not in the table
    bench.add(Answer("label", (bench.images.origins[3],), "=SUM(A1)", "chosen", "ring"))
    bench.close()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "labels" / "labels.csv").read_text())))
    assert [row["file"] for row in rows] == [bench.images.origins[3]]
    assert rows[0]["label"] == "'=SUM(A1)" and rows[0]["asked"] == "chosen" and rows[0]["suggested"] == "ring"
    assert set(rows[0]) == {"file", "label", "part", "time", "suggested", "asked"}


def test_nothing_to_export_is_a_sentence(web, desk, photos, tmp_path):
    bare = client(settle(desk(str(photos), tmp_path / "bare")))
    answer = bare.post("/api/export", json={"form": "folders"})
    assert answer.status_code == 400 and "no image has a label yet" in answer.json()["error"]
    assert bare.post("/api/export", json={"form": "../x"}).status_code == 400
    assert web.post("/api/export", json={"form": "fiftyone"}).json()["place"].endswith("fiftyone.json")


# --- photographs that are tried ---------------------------------------------------------------------------------------


def sent(web: TestClient, content: bytes) -> httpx.Response:
    return web.post("/api/try", content=content, headers={"Content-Type": "application/octet-stream"})


def test_a_photograph_is_tried_and_put_right(desk, drawings, tmp_path):
    bench = settle(desk(drawings, tmp_path / "labels"))
    web = client(bench)
    photograph = np.repeat(np.repeat(drawings.images[50], 5, 0), 5, 1)
    found = sent(web, encode_png(photograph)).json()
    assert found["said"][0][0] == truth(drawings.origins[50]) and len(found["like"]) == 12
    assert not found["heat"] and found["answer"] is None and web.get("/try/1/heat").status_code == 400
    assert sum(p for _, p in found["said"]) == pytest.approx(1, abs=0.01)
    kept = web.post("/api/try/keep", json={"number": found["number"], "label": "spiral", "suggested": "bar"}).json()
    assert kept["image"] == "./added/000001.png"
    assert (np.asarray(Image.open(bench.folder / "added/000001.png")) == photograph[..., 0]).all()
    line = bench.answers.lines[-1]
    assert (line.label, line.why, line.suggested, line.images) == ("spiral", "try", "bar", ("./added/000001.png",))
    place = exports.export("folders", bench.folder, bench.images, bench.answers)
    assert (place / "spiral" / "added-000001.png").is_file()
    assert web.post("/api/try/keep", json={"number": 99, "label": "x"}).status_code == 400
    assert web.post("/api/try/keep", json={"number": found["number"], "label": ""}).status_code == 400


def test_a_model_that_is_named_is_asked(desk, drawings, tmp_path):
    fitted = sparring.fit(drawings, method="svm", out=tmp_path / "model", pretrained="none")
    web = client(desk(drawings, tmp_path / "labels", model=tmp_path / "model"))
    found = sent(web, encode_png(drawings.images[50])).json()
    expected = sparring.classify(fitted.model, [drawings.images[50]])[0]
    assert found["said"][0] == [expected.label, pytest.approx(expected.confidence)]
    assert found["heat"] and found["answer"] == expected.answer
    picture = web.get(f"/try/{found['number']}/heat")
    assert picture.headers["content-type"] == "image/png"
    assert np.asarray(Image.open(io.BytesIO(picture.content))).shape == (16, 16, 3)
    assert web.get("/try/99/heat").status_code == 400 and web.get("/try/../heat").status_code == 404


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"#!/bin/sh\n"])
def test_what_is_no_photograph_is_refused(web, content):
    answer = sent(web, content)
    assert answer.status_code == 422 and answer.json()["error"].startswith("error[bad-image]")


def test_a_photograph_that_takes_too_much_is_refused(monkeypatch):
    large = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(large, "PNG")
    with pytest.raises(BadImage, match="limit"):
        decoding.decoded_apart(large.getvalue())
    with pytest.raises(BadImage, match="more than 32 MiB"):
        decoding.decoded_apart(bytes((32 << 20) + 1))
    monkeypatch.setattr(decoding, "CHILD", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(BadImage, match="ends the process"):
        decoding.decoded_apart(b"x")


# --- runs -------------------------------------------------------------------------------------------------------------

FAKE = """
import signal, sys, time
from pathlib import Path
out = Path(sys.argv[sys.argv.index("--out") + 1]); out.mkdir(parents=True, exist_ok=True)
def stop(*_): (out / "saved").touch(); sys.exit(130)
signal.signal(signal.SIGINT, stop)
print("at work", flush=True)
if (out / "saved").exists() or sys.argv[1] == "train": (out / "done").touch(); sys.exit(0)
time.sleep(60)
"""


@pytest.fixture
def queue(desk, photos, tmp_path):
    """A function that opens the queue of a workbench, whose commands are run by FAKE."""

    def opened() -> jobs.RunQueue:
        bench = desk(str(photos), tmp_path / "labels", reading={"size": 16, "follow_links": True, "table": None})
        settle(bench)
        bench.jobs.program = [sys.executable, "-c", FAKE]
        return bench.jobs

    return opened


def until(does, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not does():
        assert time.monotonic() < end
        time.sleep(0.02)


def states(queue: jobs.RunQueue) -> dict[str, str]:
    return {job.number: job.state for job in queue.shown()}


def test_runs_wait_for_each_other_stop_and_go_on(queue, tmp_path):
    made = queue()
    for kind in ("compare", "train"):
        made.add(jobs.JobWanted(kind, methods=("svm",) if kind == "compare" else ()))
    until(lambda: states(made) == {"2": "waiting", "1": "running"} and "at work" in made.shown()[1].log)
    with pytest.raises(UsageError, match="is running"):
        made.remove(1)
    made.stop(1)
    until(lambda: states(made) == {"2": "finished", "1": "stopped"})
    assert (tmp_path / "labels/runs/1-compare/saved").exists()
    made.resume(1)
    until(lambda: states(made)["1"] == "finished")
    made.remove(2)
    assert list(states(made)) == ["1"]
    with pytest.raises(UsageError, match="there is no run 2"):
        made.stop(2)


def test_the_queue_goes_on_after_a_restart(queue, desk, photos, tmp_path):
    first = queue()
    first.add(jobs.JobWanted("compare"))
    until(lambda: states(first) == {"1": "running"} and "at work" in first.shown()[0].log)
    first.close()
    assert json.loads((tmp_path / "labels/queue.json").read_text())["jobs"][0]["state"] == "waiting"
    again = jobs.RunQueue(tmp_path / "labels", str(photos), {}, lambda place: False, {})
    again.program = [sys.executable, "-c", FAKE]
    again.thread.start()
    until(lambda: states(again) == {"1": "finished"})
    again.close()


def test_a_run_is_the_command_that_a_person_would_type(queue, desk, photos, tmp_path):
    made = queue()
    job = jobs.Job(3, jobs.JobWanted("compare", ("svm", "probe"), 8, 2.5), labels=True)
    runs = tmp_path / "labels" / "runs"
    assert made.command(job) == [
        "compare", str(photos), "--out", str(runs / "3-compare"), "--minutes", "2.5", "--repeats", "8",
        "--methods", "svm,probe", "--size", "16", "--follow-links", "--table", str(runs / "3-labels.csv"),
    ]  # fmt: skip
    from sparring.cli.commands import app

    command, bound, _ = app.parse_args(made.command(job), exit_on_error=False, print_error=False)
    assert command.__name__ == "compare" and bound.arguments["repeats"] == 8
    train = jobs.Job(4, jobs.JobWanted("train", recipe="dcgan", images=5000))
    command, bound, _ = app.parse_args(made.command(train), exit_on_error=False, print_error=False)
    assert command.__name__ == "train" and bound.arguments["images"] == 5000


@pytest.mark.parametrize(
    "wanted",
    [
        {"kind": "compare", "methods": ["svm; rm -rf /"]}, {"kind": "compare", "methods": ["--out=/"]}, {"kind": "fit"},
        {"kind": "train", "recipe": "my.py:recipe"}, {"kind": "compare", "minutes": -1},
        {"kind": "train", "images": 1e30},
        {"kind": "compare", "repeats": 0}, {"kind": "compare", "out": "/x"},
    ],
)  # fmt: skip
def test_only_what_tables_name_is_run(queue, photos, tmp_path, wanted):
    made = queue()
    bench = Workbench.__new__(Workbench)
    bench.jobs = made
    web = TestClient(application(bench, 7, "right"), base_url=HERE, headers={"Origin": HERE})
    web.get("/?token=right")
    answer = web.post("/api/jobs/add", json=wanted)
    assert answer.status_code == 400 and answer.json()["error"].startswith("error[") and not made.jobs


def test_labels_of_now_go_with_a_run_and_a_report_may_do_nothing(desk, photos, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    (study / "mistakes.html").write_text("<p>x</p>")
    bench = settle(desk(str(photos), tmp_path / "labels", given={"study": study}))
    bench.jobs.program = [sys.executable, "-c", FAKE]
    bench.add(Answer("label", (bench.images.origins[0],), "ring", "chosen"))
    web = client(bench)
    number = web.post("/api/jobs/add", json={"kind": "train"}).json()["number"]
    assert "000-ring.png,ring" in (bench.folder / "runs" / f"{number}-labels.csv").read_text()
    until(lambda: web.get("/api/jobs").json()[0]["state"] == "finished")
    assert web.get("/api/jobs").json()[1]["number"] == "study"
    page = web.get("/runs/study/mistakes.html")
    assert page.text == "<p>x</p>" and "sandbox" in page.headers["content-security-policy"]
    assert "script" not in page.headers["content-security-policy"]
    assert web.get("/runs/study/report.html").status_code == 409
    for path in ("stop", "resume", "remove"):
        assert web.post(f"/api/jobs/{path}", json={"number": 77}).status_code == 400


# --- the server itself ------------------------------------------------------------------------------------------------


def test_many_clients_at_once(quick, photos, tmp_path):
    with serve(str(photos), out=tmp_path / "labels", pretrained="none", device="cpu") as served:
        base = served.link.split("/?")[0]
        failures: list[object] = []

        def visit(who: int) -> None:
            try:
                with httpx.Client(base_url=base, headers={"Origin": base}, timeout=60) as web:
                    web.get(f"/?{served.link.split('?')[1]}").raise_for_status()
                    until(lambda: web.get("/api/standing").json()["images"] == 90)
                    for i in range(5):
                        web.get(f"/picture/small/{who + i}").raise_for_status()
                        web.post("/api/tiles", json={"images": [who, i]}).raise_for_status()
                        line = {"kind": "label", "images": [who], "label": f"c{i}", "why": "look"}
                        web.post("/api/answer", json=line).raise_for_status()
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=visit, args=(who,)) for who in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
    known = Answers(tmp_path / "labels", "x").known()
    assert len(known) == 20 and {found.label for found in known.values()} == {"c4"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(base)


def test_a_port_that_is_taken_and_a_model_that_is_not_there(photos, tmp_path):
    with serve(str(photos), out=tmp_path / "one", pretrained="none", device="cpu") as served:
        with pytest.raises(MachineError, match=f"port {served.port} cannot be used"):
            serve(str(photos), out=tmp_path / "two", port=served.port)
        assert served.link in repr(served) and served.link in served._repr_html_()
    with pytest.raises(sparring.errors.MissingData, match="no model folder"):
        serve(str(photos), out=tmp_path / "two", model=tmp_path / "nothing")
    assert sparring.app is serve


def test_without_the_packages_the_error_names_the_extra(monkeypatch, photos, tmp_path):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match=r"pip install 'sparring\[app\]'"):
        serve(str(photos), out=tmp_path / "labels")


def test_data_that_are_not_there_are_said_on_the_page(desk, tmp_path):
    bench = desk(str(tmp_path / "nowhere"), tmp_path / "labels")
    bench.start()
    until(lambda: bench.background.steps["listing"].state == "failed")
    web = client(bench)
    assert "does not exist" in web.get("/api/standing").json()["steps"][0]["problem"]
    assert web.get("/").status_code == 200 and web.get("/picture/small/0").status_code == 400
