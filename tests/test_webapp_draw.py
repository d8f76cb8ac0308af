"""The tab "Draw": a link makes the same picture again, and it is the one that the generator makes in Python."""

import io
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from starlette.testclient import TestClient
from test_report import browser  # noqa: F401  a fixture
from test_webapp import HOSTILE, client, drawings  # noqa: F401  a fixture
from test_webapp_browser import SMALL, UNNAMED, Tab
from toys import FACTS, thin

from sparring.errors import MissingData
from sparring.games.players import Generator
from sparring.games.recipes import RECIPES
from sparring.games.training import new_state
from sparring.images import encode_png, fit_pixels, grid, is_generated, load_image
from sparring.nets.mlp import MLP
from sparring.records import to_json
from sparring.runs.latent_views import by_slider, direction_strips, directions, interpolation
from sparring.runs.sampler import Sampler, load_generator, save_generator
from sparring.runs.translator import load_translators, save_translators
from sparring.webapp import drawing
from sparring.webapp.jobs import Job, JobWanted
from sparring.webapp.serving import Served, serve
from sparring.webapp.workbench import Workbench

CLASSES = ("cat", HOSTILE, "dog & 猫")
CODED, FILLS, ENLARGES, TURNS, EARLY, BROKEN, COMPARES = 1, 2, 3, 4, 5, 6, 7  # runs of the queue


def write_generator(folder: Path, classes: tuple[str, ...], seed: int, **takes) -> Path:
    torch.manual_seed(seed)
    spec = Generator(net=MLP(widths=(24,)), z=8, **takes)
    return save_generator(spec.build(FACTS).eval(), spec, FACTS, classes, folder / "model")


def write_translator(folder: Path, name: str) -> None:
    recipe = thin(RECIPES[name])
    state = new_state(recipe, FACTS)
    nets = {spec.name: state.best(spec.name).eval() for spec in recipe.translators}
    for net in nets.values():  # else the last layer is zero and every network alike
        torch.nn.init.normal_(net.body.last.weight)
    save_translators(nets, recipe, FACTS, folder)


@pytest.fixture(scope="module")
def bench(tmp_path_factory, drawings):  # noqa: F811
    """A data set beside two runs that were named, and seven of the queue."""
    top = tmp_path_factory.mktemp("draw")
    write_generator(top / "named", CLASSES, 0, labels=True)
    write_generator(top / "second", CLASSES, 5, labels=True)
    given = {"study": top, "run": top / "named", "run-2": top / "second"}
    made = Workbench(drawings, top / "labels", {}, pretrained="none", device="cpu", seed=0, given=given, model=None)
    jobs = [Job(n, JobWanted("compare" if n == COMPARES else "train"), "stopped") for n in range(1, 8)]
    made.jobs.jobs = {job.number: job for job in jobs}
    places = {job.number: made.jobs.place(job) for job in jobs}
    write_generator(places[CODED], ("a", "b", "c"), 1, codes=4, continuous=2)
    for run, name in ((FILLS, "inpaint"), (ENLARGES, "upscale"), (TURNS, "cyclegan")):
        write_translator(places[run] if run != FILLS else places[run] / "model", name)
    (places[FILLS] / "recipe.json").write_text(json.dumps(to_json(RECIPES["inpaint"])))
    places[EARLY].mkdir()
    shutil.copytree(places[CODED], places[BROKEN])
    (places[BROKEN] / "model" / "model.safetensors").write_bytes(b"broken")
    yield made
    made.close()


@pytest.fixture(scope="module")
def web(bench) -> TestClient:
    return client(bench)


@pytest.fixture(scope="module")
def sampler(bench) -> Sampler:
    return load_generator(bench.jobs.given["run"] / "model")


@pytest.fixture(scope="module")
def coded(bench) -> Sampler:
    return load_generator(bench.drawings.place(CODED) / "model")


def link(**settings: object) -> str:
    return urlencode({name.replace("_", "-").rstrip("-"): value for name, value in settings.items()})


def picture(web: TestClient, **settings: object) -> np.ndarray:
    answer = web.get(f"/draw/picture.png?{link(**settings)}")
    assert answer.status_code == 200, answer.text
    return load_image(answer.content)


def refusal(web: TestClient, path: str) -> tuple[int, str]:
    answer = web.get(path)
    return answer.status_code, answer.json()["error"] if answer.status_code >= 400 else ""


# --- drawing ----------------------------------------------------------------------------------------------------------


def test_the_runs_are_the_named_one_and_the_trainings_of_the_queue(web, bench):
    found = web.get("/api/draw/runs").json()
    assert [row["run"] for row in found] == [0, -1, 6, 5, 4, 3, 2, 1]
    assert found[0] == {"run": 0, "name": "named", "state": "finished"} and found[2]["state"] == "stopped"
    assert str(bench.folder) not in web.get("/api/draw/runs").text


def test_a_model_says_what_it_can_do(web):
    shown = web.get("/api/draw/run?run=0").json()
    assert shown["classes"] == list(CLASSES) and shown["kind"] == "draw" and shown["directions"] == 6
    assert (shown["height"], shown["width"], shown["scale"], shown["codes"]) == (12, 10, 5, 0)
    shown = web.get(f"/api/draw/run?run={CODED}").json()
    assert (shown["classes"], shown["codes"], shown["sliders"]) == ([], 4, 2)
    kinds = [web.get(f"/api/draw/run?run={run}").json() for run in (FILLS, ENLARGES, TURNS)]
    assert [shown["kind"] for shown in kinds] == ["fill", "enlarge", "turn"]
    assert [shown["kinds"] for shown in kinds] == [[], [], ["a", "b"]]


def test_the_same_link_gives_the_same_bytes_and_is_marked(web, bench):
    path = f"/draw/picture.png?{link(run=0, class_='cat', seed=17, truncation=0.7, d1=1.5)}"
    first = web.get(path)
    assert first.status_code == 200 and first.headers["content-type"] == "image/png"
    bench.drawings.loaded.clear()
    assert web.get(path).content == first.content
    assert is_generated(first.content)
    with Image.open(io.BytesIO(first.content)) as opened:
        said = opened.text
    assert said["Settings"] == "run=0&class=cat&seed=17&truncation=0.7&d1=1.5" and len(said["Weights"]) == 16


@pytest.mark.parametrize("label", CLASSES)
def test_pictures_are_those_of_the_sampler(web, sampler, label):
    number = CLASSES.index(label)
    drawn = sampler.draw(5, labels=np.full(5, number), seed=3, truncation=0.5, first=2)
    many = picture(web, class_=label, seed=3, truncation=0.5, first=2, count=5)
    assert np.array_equal(many, grid(drawn))
    one = picture(web, class_=label, seed=3, truncation=0.5, first=4)
    assert np.array_equal(one, drawn[2])


def test_classes_and_codes_come_in_turn_unless_they_are_chosen(web, sampler, coded):
    assert np.array_equal(picture(web, count=7), grid(sampler.draw(7)))
    assert np.array_equal(picture(web, run=CODED, count=7), grid(coded.draw(7)))
    chosen = coded.draw(7, codes=np.full(7, 3))
    assert np.array_equal(picture(web, run=CODED, code=3, count=7), grid(chosen))


def test_two_generators_draw_the_same_seeds_and_classes(web, bench, sampler):
    second = load_generator(bench.jobs.given["run-2"] / "model")
    for run, of in ((0, sampler), (-1, second)):
        assert np.array_equal(picture(web, run=run, seed=6, count=4), grid(of.draw(4, seed=6)))


def test_each_setting_changes_the_picture(web):
    plain = {"class_": "cat", "seed": 1}
    found = [plain, plain | {"class_": HOSTILE}, plain | {"seed": 2}, plain | {"truncation": 0.1}, plain | {"first": 3}]
    found += [plain | {"d1": 2}, plain | {"d1": -2}, plain | {"d2": 2}]
    drawn = {picture(web, **settings).tobytes() for settings in found}
    assert len(drawn) == len(found)
    assert np.array_equal(picture(web, **plain, d1=0, d3="0.0"), picture(web, **plain))


def test_directions_are_those_that_are_found(web, sampler):
    strip = direction_strips(sampler, 3, 5, reach=2.0, seed=4, labels=[2])
    for row in range(3):
        for step, far in enumerate((-2, -1, 0, 1, 2)):
            made = picture(web, class_=CLASSES[2], seed=4, **{f"d{row + 1}": far})
            assert np.abs(made.astype(int) - strip[row, step]).max() <= 1
    both = replace(sampler.latents(1, seed=4, labels=[0]))
    found = directions(sampler.G, sampler.spec)[1].float()
    both = replace(both, z=both.z + 1.5 * found[0] - 0.5 * found[6])
    assert np.abs(picture(web, class_="cat", seed=4, d1=1.5, d7=-0.5).astype(int) - sampler.render(both)[0]).max() <= 1


def test_sliders_are_those_of_training(web, coded):
    strips = by_slider(coded, 1, 5, seed=2)
    for row in range(2):
        for step, value in enumerate((-1, -0.5, 0, 0.5, 1)):
            made = picture(web, run=CODED, seed=2, code=0, **{f"s{row + 1}": value})
            assert np.abs(made.astype(int) - strips[row, step]).max() <= 1


def test_a_morph_goes_on_the_arc_to_the_other_seed(web, sampler):
    row = picture(web, class_="cat", seed=1, to=2)
    cells = pieces(row, 8)
    ends = [sampler.draw(1, labels=np.array([0]), seed=seed)[0] for seed in (1, 2)]
    assert np.abs(cells[0].astype(int) - ends[0]).max() <= 1 and np.abs(cells[-1].astype(int) - ends[1]).max() <= 1
    a, b = (sampler.latents(1, seed=seed, labels=[0]) for seed in (1, 2))
    omega = float(torch.arccos(torch.nn.functional.cosine_similarity(a.z, b.z)))
    for step, t in enumerate(np.linspace(0, 1, 8)):
        length = (1 - t) * float(a.z.norm()) + t * float(b.z.norm())
        arc = np.sin((1 - t) * omega) * a.z / a.z.norm() + np.sin(t * omega) * b.z / b.z.norm()
        z = (arc / np.sin(omega) * length).float()
        assert np.abs(cells[step].astype(int) - sampler.render(replace(a, z=z))[0]).max() <= 1


def test_a_morph_to_a_class_keeps_the_noise_and_two_rows_are_two_pictures(web, sampler):
    cells = pieces(picture(web, class_="cat", to_class=CLASSES[2], seed=5, steps=3, count=2), 3, rows=2)
    for number in range(2):
        points = sampler.latents(torch.tensor([number]), seed=5, labels=[0])
        for step, share in enumerate((0.0, 0.5, 1.0)):
            mixed = replace(points, classes=torch.tensor([[1 - share, 0, share]]))
            assert np.abs(cells[3 * number + step].astype(int) - sampler.render(mixed)[0]).max() <= 1
    assert not np.array_equal(pieces(picture(web, class_="cat", to=6, to_class=CLASSES[2], seed=5), 8)[-1], cells[2])


def test_rows_of_the_command_are_morphs_too(sampler):
    """Image 0 to image 1, as `sparring sample --interpolate` draws it."""
    from sparring.runs.latent_views import morph

    points = [sampler.latents(torch.tensor([i]), labels=[0]) for i in (0, 1)]
    assert np.array_equal(morph(sampler, *points, 5), interpolation(sampler, 1, 5))


def pieces(row: np.ndarray, columns: int, rows: int = 1, gap: int = 2) -> list[np.ndarray]:
    """The images of a picture of several."""
    scale = 5
    tall, wide = FACTS.height * scale + gap, FACTS.width * scale + gap
    assert row.shape[:2] == (rows * tall + gap, columns * wide + gap)
    corners = [(gap + r * tall, gap + c * wide) for r in range(rows) for c in range(columns)]
    return [row[y : y + tall - gap : scale, x : x + wide - gap : scale] for y, x in corners]


def test_a_film_goes_there_and_back(web):
    answer = web.get(f"/draw/film.webp?{link(class_='cat', seed=1, to=2, steps=5)}")
    assert answer.headers["content-type"] == "image/webp" and is_generated(answer.content)
    with Image.open(io.BytesIO(answer.content)) as film:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(film)]
    cells = pieces(picture(web, class_="cat", seed=1, to=2, steps=5), 5)
    assert len(frames) == 8 and frames[0].shape == (60, 50)
    for frame, step in zip(frames, (0, 1, 2, 3, 4, 3, 2, 1), strict=True):
        assert np.array_equal(frame[::5, ::5], cells[step][:, :, 0])
    assert refusal(web, "/draw/film.webp?seed=1") == (
        400, "error[film]: one picture alone does not move. Fix: name a second seed with to.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("seed=-1", "seed is '-1'"), ("seed=1e3", "seed is '1e3'"), ("seed=1.5", "whole number"), ("seed=nan", "nan"),
        ("seed=9007199254740993", "from 0 to"), ("seed=99999999999999999999", "bad-number"), ("seed=1_0", "1_0"),
        ("seed=%D9%A3", "bad-number"), ("seed=%201", "bad-number"), ("seed=0x1", "bad-number"),
        ("count=0", "from 1 to 64"), ("count=65", "from 1 to 64"), ("first=-1", "bad-number"),
        ("to=1&steps=8&count=9", "9 x 8 pictures are more than 64"), ("to=1&steps=65", "from 2 to 64"),
        ("to=1&steps=1", "from 2 to 64"),
        ("truncation=0", "from 0.01 to 100"), ("truncation=inf", "inf"), ("truncation=1e400", "1e400"),
        ("d1=11", "from -10 to 10"), ("d1=x", "d1 is 'x'"), ("d9=1", "no direction d9. Fix: choose from d1 to d8"),
        ("d0=1", "no setting 'd0'"), ("d01=1", "no setting"), ("d99999=1", "no setting"), ("s1=0.5", "no sliders"),
        ("run=1&s3=0.5", "no slider s3"), ("run=1&s1=2", "from -1 to 1"), ("run=1&code=4", "no code 4"),
        ("code=1", "no codes"), ("run=1&class=a", "without labels"), ("run=1&to-class=a", "without labels"),
        ("class=bird", "unknown class 'bird'"), ("class=../../etc/passwd", "unknown-class"),
        ("to-class=x", "unknown-class"),
        ("class=%3Cscript%3Ealert(1)%3C/script%3E%00%0A", "unknown-class"), ("class=" + "x" * 5000, "unknown-class"),
        ("run=8", "there is no run 8 to draw from. Fix: choose one of -1, 0, 1, 2, 3, 4, 5, 6"), ("run=7", "no run 7"),
        ("run=-2", "no run -2"), ("run=/etc", "bad-number"), ("run=named", "bad-number"), ("run=2", "from images"),
        ("seed=1&seed=2", "seed stands twice"), ("path=/etc", "no setting 'path'"), ("lang=zh", "no setting 'lang'"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_by_a_sentence(web, settings, said):
    status, sentence = refusal(web, f"/draw/picture.png?{settings}")
    assert status == 400 and sentence.startswith("error[") and said in sentence and ". Fix: " in sentence
    assert len(sentence) < 2500 and sentence.isprintable()


def test_a_run_without_a_model_and_a_broken_one_say_so(web):
    for path in ("/api/draw/run", "/draw/picture.png", "/draw/source.png"):
        status, said = refusal(web, f"{path}?run={EARLY}")
        assert status in (400, 404, 409) and "no-model-yet" in said and "look in Run" in said
        status, said = refusal(web, f"{path}?run={BROKEN}")
        assert status == 409 and "damaged" in said


def test_without_any_run_the_sentence_says_what_to_do(tmp_path, drawings):  # noqa: F811
    made = Workbench(drawings, tmp_path / "x", {}, pretrained="none", device="cpu", seed=0, given={}, model=None)
    web = client(made)
    assert web.get("/api/draw/runs").json() == []
    assert "train a generator in Run first" in refusal(web, "/draw/picture.png")[1]
    page = web.get("/draw").text
    assert "sparring train DATA" in page and "No generator yet" in page
    made.close()


def test_a_run_that_is_not_there_is_said_at_once(tmp_path, drawings):  # noqa: F811
    with pytest.raises(MissingData, match=r"no run folder .*nothing\. Fix: name one that train wrote"):
        serve(drawings, out=tmp_path / "x", run=[tmp_path, tmp_path / "nothing"])
    assert not (tmp_path / "x").exists()


def test_a_generator_is_read_once_until_the_run_has_another(web, bench, monkeypatch):
    read, before = [], picture(web, run=CODED)
    monkeypatch.setattr(
        drawing, "read_model", lambda place, real=drawing.read_model: (read.append(place), real(place))[1]
    )
    assert np.array_equal(picture(web, run=CODED), before) and not read
    place = bench.drawings.place(CODED)
    kept = place.with_name("kept")
    place.rename(kept)
    write_generator(place, ("a", "b", "c"), 9, codes=4, continuous=2)
    assert not np.array_equal(picture(web, run=CODED), before) and len(read) == 1
    shutil.rmtree(place)
    kept.rename(place)
    assert np.array_equal(picture(web, run=CODED), before)


def test_one_drawing_at_a_time(web, bench, monkeypatch):
    at_work: list[int] = []

    def slow(self, points, real=Sampler.render):
        at_work.append(1)
        time.sleep(0.02)
        assert len(at_work) == 1
        made = real(self, points)
        at_work.pop()
        return made

    monkeypatch.setattr(Sampler, "render", slow)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: web.get(f"/draw/picture.png?seed={seed}").status_code, range(8)))
    assert found == [200] * 8


# --- images from images -----------------------------------------------------------------------------------------------


def hole(height: int = FACTS.height, width: int = FACTS.width) -> np.ndarray:
    """A mask with a hole in the middle."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    return mask


def sent(web: TestClient, settings: str, content: bytes = b"", kind: str = "application/octet-stream"):
    return web.post(f"/api/draw/restored?{settings}", content=content, headers={"Content-Type": kind})


def test_a_painted_hole_is_filled_as_translate_fills_it(web, bench, drawings):  # noqa: F811
    model = load_translators(bench.drawings.place(FILLS))
    trained, own = fit_pixels(drawings.images[3], (12, 10)), drawings.images[3]
    for size, image in (("trained", trained), ("own", own)):
        source = web.get(f"/draw/source.png?run={FILLS}&image=3&size={size}")
        assert np.array_equal(load_image(source.content), image) and not is_generated(source.content)
        mask = hole(*image.shape[:2])
        made = sent(web, f"run={FILLS}&image=3&size={size}", encode_png(mask))
        assert made.status_code == 200 and is_generated(made.content)
        assert np.array_equal(load_image(made.content), model.translate(image, mask=mask > 0))
    rgba = np.dstack([mask] * 3 + [np.full_like(mask, 255)])
    canvas = io.BytesIO()
    Image.fromarray(rgba).save(canvas, "PNG")
    assert sent(web, f"run={FILLS}&image=3&size=own", canvas.getvalue()).content == made.content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "nothing is painted"), (encode_png(np.zeros((12, 10), np.uint8)), "nothing is painted"),
        (encode_png(hole(10, 12)), "10x12 pixels came with a mask of 12x10"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "bad-image"),
    ],
    ids=["none", "empty", "turned", "torn"],
)  # fmt: skip
def test_a_mask_that_does_not_fit_is_refused(web, content, said):
    answer = sent(web, f"run={FILLS}&image=3", content)
    assert answer.status_code in (400, 422) and said in answer.json()["error"]


def test_an_image_is_enlarged_and_turned(web, bench, drawings):  # noqa: F811
    image = fit_pixels(drawings.images[0], (12, 10))
    made = load_image(sent(web, f"run={ENLARGES}&image=0").content)
    assert np.array_equal(made, load_translators(bench.drawings.place(ENLARGES)).translate(image))
    assert made.shape[:2] == (24, 20)
    turns = load_translators(bench.drawings.place(TURNS))
    for to in ("a", "b"):
        assert np.array_equal(
            load_image(sent(web, f"run={TURNS}&image=0&to={to}").content), turns.translate(image, to=to)
        )
    assert "unknown-direction" in sent(web, f"run={TURNS}&image=0&to=c").json()["error"]


def test_a_photograph_is_given_shrunk_and_forgotten(web, bench):
    photograph = np.random.default_rng(0).integers(0, 256, (300, 900, 3), dtype=np.uint8)
    content = encode_png(photograph)
    octets = {"Content-Type": "application/octet-stream"}
    given = web.post("/api/draw/photo", content=content, headers=octets).json()
    assert (given["width"], given["height"]) == (512, 171)
    shown = load_image(web.get(f"/draw/source.png?run={FILLS}&photo={given['photo']}&size=own").content)
    assert shown.shape == (171, 512, 1)
    small = load_image(web.get(f"/draw/source.png?run={FILLS}&photo={given['photo']}").content)
    assert small.shape == (12, 10, 1)
    for _ in range(8):
        bench.restoring.photos[bench.restoring.count + 1] = shown
        bench.restoring.count += 1
    bench.restoring.give(content)
    assert len(bench.restoring.photos) == 8
    assert "not remembered" in refusal(web, f"/draw/source.png?run={FILLS}&photo={given['photo']}")[1]
    assert web.post("/api/draw/photo", content=b"no image", headers=octets).status_code == 422
    assert web.post("/api/draw/photo", content=content, headers={"Content-Type": "text/plain"}).status_code == 400


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("image=90", "no image 90. Fix: choose one from 0 to 89"), ("image=-1", "bad-number"),
        ("image=x", "bad-number"),
        ("image=../x", "bad-number"), ("photo=999", "not remembered"), ("size=huge", "no setting 'size'"),
        ("file=/etc/passwd", "no setting 'file'"), ("run=0", "draws from noise"), ("run=99", "no run 99"),
    ],
)  # fmt: skip
def test_what_cannot_be_restored_is_refused_by_a_sentence(web, settings, said):
    answer = sent(web, settings if settings.startswith("run") else f"run={ENLARGES}&{settings}")
    assert answer.status_code == 400 and said in answer.json()["error"]


def test_only_this_page_gives_images(web):
    for path in ("/api/draw/photo", f"/api/draw/restored?run={ENLARGES}"):
        for origin in ("http://evil.example", "null"):
            headers = {"Content-Type": "application/octet-stream", "Origin": origin}
            assert web.post(path, content=b"", headers=headers).status_code == 403
    stranger = client(web.app.state.bench, entered=False)
    for path in ("/draw", "/draw/picture.png", "/draw/film.webp?to=1", "/api/draw/runs", "/draw/source.png"):
        assert stranger.get(path).status_code == 403
        assert web.get(path, headers={"Host": "evil"}).status_code == 421


def test_names_of_runs_are_data_and_never_markup(web):
    page = web.get("/draw").text
    assert HOSTILE not in page and "<img src=x" not in page
    assert web.get("/api/draw/run?run=0").headers["content-type"].startswith("application/json")


# --- in a browser -----------------------------------------------------------------------------------------------------


def sums(place: str) -> str:
    """A script that gives what all pixels of the canvases at a place add up to."""
    return f"""[...document.querySelectorAll('{place}')].map(c => c.getContext('2d')
      .getImageData(0, 0, c.width, c.height).data.reduce((a, b) => a + b, 0)).join()"""


def shown_as(image: np.ndarray) -> int:
    """What the pixels of a canvas add up to that shows a grey image: three colours, and 255 for each that is opaque."""
    return int(3 * image.astype(int).sum() + 255 * image[..., 0].size)


@pytest.fixture(scope="module")
def served(bench):
    made = Served(bench, 0)
    yield made
    made.server.should_exit = True
    made.thread.join(10)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme", "language"), [(1280, "light", "en"), (390, "dark", "zh")])
def test_draw_and_fill_in_a_browser(browser, served, web, width, scheme, language):  # noqa: F811
    view = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme, "bypass_csp": "AXE" in os.environ}
    tab = Tab(browser, served.link, f"/draw?lang={language}", **view)
    page, drawn = tab.page, sums("#sides canvas")
    tab.has("document.querySelectorAll('#sides button.tile').length === 12")
    tab.has("[...document.querySelectorAll('#sides canvas')].every(c => c.width === 10)")
    assert page.url.endswith("/draw?run=0&count=12") and HOSTILE in tab.text("#sides")
    page.focus("#sides button >> nth=4")
    page.keyboard.press("Enter")
    tab.has("document.querySelectorAll('#sides canvas').length === 1")
    assert page.url.endswith("/draw?run=0&first=4&count=1")
    tab.has(f"{drawn} === '{shown_as(picture(web, first=4))}'")
    page.focus("[name=d1]")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    tab.has("location.search.endsWith('&d1=0.5')")
    moved = f"{drawn} === '{shown_as(picture(web, first=4, d1=0.5))}'"
    tab.has(moved)
    page.reload()
    tab.has(moved)
    page.select_option("[name=with]", str(CODED))
    tab.has("document.querySelectorAll('#sides canvas').length === 2")
    page.check("[name=morph]")
    page.check("[name=film]")
    tab.has("document.querySelectorAll('#sides canvas').length === 16")
    tab.has("[...document.querySelectorAll('.film')].filter(i => i.complete && i.naturalWidth).length === 2")
    assert page.is_checked("[name=morph]")
    page.reload()
    tab.has("document.querySelectorAll('#sides canvas').length === 16")
    assert page.is_checked("[name=morph]") and page.input_value("[name=to]") == "1"
    without_faults(tab, width)
    page.select_option("[name=run]", str(FILLS))
    tab.has("document.getElementById('before').width === 10 && document.getElementById('go').disabled")
    page.focus("#mask")
    for key in ("ArrowLeft", " ", "ArrowUp", " "):
        page.keyboard.press(key)
    tab.has("!document.getElementById('go').disabled")
    box = page.locator("#mask").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.6, steps=4)
    page.mouse.up()
    page.click("#go")
    tab.has("document.getElementById('after').naturalWidth === 10")
    without_faults(tab, width)
    page.select_option("[name=run]", str(CODED))
    tab.has("document.querySelectorAll('#sliders output').length === 2")
    assert tab.text("#sliders output >> nth=0") == "–"
    page.focus("[name=s1]")
    for key in ("ArrowRight", "ArrowLeft"):  # 0 is a setting; without one the slider is drawn
        page.keyboard.press(key)
    tab.has("new URLSearchParams(location.search).get('s1') === '0'")
    page.click("#chance")
    tab.has("!location.search.includes('s1')")
    page.select_option("[name=run]", str(EARLY))
    tab.has("document.getElementById('draw-problem').textContent.includes('no-model-yet')")
    page.go_back()
    tab.has("document.getElementById('draw-problem').hidden && document.querySelectorAll('#sides canvas').length > 0")
    assert [said for said in tab.said if "409" not in said] == []


def without_faults(tab: Tab, width: int) -> None:
    """Everything fits and has a name; axe-core finds nothing, where AXE names it."""
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert not tab.page.evaluate(UNNAMED) and not tab.page.evaluate(SMALL)
    if code := os.environ.get("AXE"):
        tab.page.evaluate(Path(code).read_text(encoding="utf-8"))
        found = json.loads(tab.page.evaluate("axe.run().then(r => JSON.stringify(r.violations))"))
        assert not [(v["id"], " ".join(v["nodes"][0]["html"].split())[:200]) for v in found]
