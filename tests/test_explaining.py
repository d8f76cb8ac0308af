"""Why a model says what it says: maps against closed forms and captum, shares against a dense solve, planted marks."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import captum_maps
from scipy.special import logit
from scipy.stats import spearmanr
from toys import striped, thin

import sparring
from sparring import EXPLANATIONS, METHODS, DataError, FileFormatError, ImageSet, UsageError
from sparring.classifiers import load_model, save_model
from sparring.classifiers.fitting import NamedImage
from sparring.classifiers.graph import affinity
from sparring.cli import main
from sparring.errors import UnknownName
from sparring.explaining import Explainer
from sparring.explaining.checks import SHARES, Curves, area, curves, hottest, moved_copies, rank_correlation
from sparring.explaining.discriminators import LookingDiscriminator
from sparring.explaining.heat import integrated_gradients_heat
from sparring.explaining.hiding import without
from sparring.explaining.labelled import LabelledImages, SpreadingShares, most_alike
from sparring.explaining.maps import grad_cam, hidden_by, integrated_gradients, occlusion, spread_over, windows
from sparring.explaining.methods import chosen_maps
from sparring.explaining.parts import parts_of_answer, shapley
from sparring.explaining.records import FILE, ExplainedList, LabelledImage, MapVerdict
from sparring.explaining.saving import heated
from sparring.explaining.scores import forgetful, last_map, network_input, network_score, score_of
from sparring.explaining.sentences import HOT, map_sentence, place_words
from sparring.explaining.walks import first_change, walk_to_another_class
from sparring.features.cache import CACHE, Cache, passing_cache
from sparring.games.players import Generator
from sparring.games.recipes import RECIPES
from sparring.images import save_png, to_unit
from sparring.nets.layers import DataSpec
from sparring.reporting.explanations_page import write_explanations_page
from sparring.runs.driver import train
from sparring.runs.folder import Run
from sparring.runs.sampler import Sampler

COLOURS = np.array([[230, 30, 30], [30, 200, 40]])
SIDE, MARK = 16, 5


def marked(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey noise with a red or a green square somewhere: images uint8 [N,16,16,3], class [N], mark bool [N,16,16]."""
    rng = np.random.default_rng(seed)
    x = rng.integers(60, 190, (count, SIDE, SIDE, 1), np.uint8).repeat(3, 3)
    y, mask = np.arange(count) % 2, np.zeros((count, SIDE, SIDE), bool)
    for i, (top, left) in enumerate(rng.integers(0, SIDE - MARK + 1, (count, 2))):
        mask[i, top : top + MARK, left : left + MARK] = True
        x[i][mask[i]] = COLOURS[y[i]]
    return x, y, mask


@pytest.fixture(scope="session")
def fitted():
    """One model of each kind on the same marks."""
    x, y, _ = marked(80)
    labels = np.where(np.arange(80) < 60, y, -1)
    made = {
        name: METHODS[name].make(**settings).fit(x, labels)
        for name, settings in {
            "logistic": {"features": "pixels & colour-histogram"},
            "svm": {"features": "lbp & colour-histogram"},
            "spreading": {"features": "hog+colours", "pretrained": "none"},
            "cnn": {"steps": 60},
            "majority": {},
        }.items()
    }
    made["ensemble"] = METHODS["ensemble"].make(members="spreading", pretrained="none").fit(x, labels)
    return made


def one(picture: np.ndarray, model, *by: str, **options):
    return Explainer(model, by, **options).explain(NamedImage("image"), picture)


# --- what is hidden ------------------------------------------------------------------------------------------------


def test_hidden_pixels_continue_what_is_around_them():
    image = np.full((9, 7, 3), (10, 200, 90), np.uint8)
    hidden = np.zeros((3, 9, 7), bool)
    hidden[0, 2:5, 3:6], hidden[1, 0, 0], hidden[2] = True, True, True
    assert (without(image, hidden) == image).all()
    image[2:5, 3:6] = 0
    found = without(image, hidden)
    assert (found[0] == (10, 200, 90)).all()  # nothing of the dark square is left
    assert (found[1] == image).all() and np.ptp(found[2].reshape(-1, 3), 0).max() == 0
    assert np.allclose(found[2, 0, 0], image.mean((0, 1)), atol=1)
    ramp = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None], 16, 0)[..., None]
    middle = np.zeros((1, 16, 16), bool)
    middle[0, 6:10, 6:10] = True
    assert np.abs(without(ramp, middle)[0].astype(int) - ramp.astype(int)).max() <= 12  # a ramp goes on
    assert (without(ramp, middle)[0][~middle[0]] == ramp[~middle[0]]).all()


# --- maps -----------------------------------------------------------------------------------------------------------


def test_occlusion_is_the_fall_under_each_window():
    rng = np.random.default_rng(0)
    image, weights = rng.integers(0, 256, (11, 8, 1), np.uint8), rng.normal(size=(11, 8, 1))

    def score(images: np.ndarray) -> np.ndarray:
        return (images * weights).sum((1, 2, 3))

    total, weight = np.zeros((11, 8)), np.zeros((11, 8))
    for window in windows(11, 8):
        mask = np.zeros((11, 8), bool)
        mask[window.top : window.top + window.side, window.left : window.left + window.side] = True
        fall = score(image[None])[0] - score(without(image, mask[None]))[0]
        for i in range(window.side):
            for j in range(window.side):
                w = min(i + 1, window.side - i) * min(j + 1, window.side - j) / window.side**4
                total[window.top + i, window.left + j] += w * fall
                weight[window.top + i, window.left + j] += w
    assert (weight > 0).all()
    assert np.allclose(occlusion(score, image), total / weight, rtol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (3, 40), (32, 48)])
def test_windows_cover_the_image_and_equal_falls_stay_equal(size):
    squares = windows(*size)
    assert hidden_by(squares, *size).any(0).all()
    assert np.allclose(spread_over(squares, np.full(len(squares), 2.5), *size), 2.5)


def test_integrated_gradients_sum_to_the_difference_and_are_exact_where_all_is_linear():
    x, baseline = captum_maps.image_and_baseline()
    net = captum_maps.network()
    added = integrated_gradients(lambda x: net(x)[:, 1], x, baseline, steps=400)
    difference = net(x[None])[0, 1] - net(baseline[None])[0, 1]
    assert added.sum().item() == pytest.approx(difference.item(), abs=1e-3 * added.abs().sum().item())
    weights = captum_maps.waves(tuple(x.shape), 3)
    added = integrated_gradients(lambda x: (x * weights).sum((1, 2, 3)), x, baseline, steps=3)
    assert torch.allclose(added, weights * (x - baseline))


def test_maps_are_those_of_captum():
    expected = json.loads(captum_maps.FIXTURE.read_text())
    x, baseline = captum_maps.image_and_baseline()
    net = captum_maps.network()
    added = integrated_gradients(lambda x: net(x)[:, 1], x, baseline, steps=32)
    assert np.allclose(added.numpy(), expected["integrated_gradients"], atol=1e-9)
    activations = net[:4](x[None]).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net[4:](activations)[0, 1], activations)
    assert np.allclose(grad_cam(activations[0], gradient[0], (5, 6)).detach(), expected["grad_cam"], atol=1e-9)
    found = last_map(net, lambda x: net(x)[:, 1], x[None])  # 9 x 11 is fine enough, 5 x 6 is not
    assert found.activations.shape == (4, 9, 11)
    small = last_map(net[2:], lambda h: net[2:](h)[:, 1], net[:2](x[None]).detach())  # of none that is, the last
    assert torch.allclose(small.activations, activations[0]) and torch.allclose(small.gradient, gradient[0])
    with pytest.raises(ValueError, match="no maps"):
        last_map(torch.nn.Flatten(), lambda x: x.flatten(1).sum(1), x[None])


# --- checks ---------------------------------------------------------------------------------------------------------


def test_areas_and_curves_have_their_closed_form():
    assert area(np.ones(len(SHARES))) == pytest.approx(1) and area(np.array(SHARES)) == pytest.approx(0.5)
    image = np.full((10, 10, 1), 100, np.uint8)
    image[:, :5] = 200  # bright on the left, and how much of that is left is the score

    def bright(images: np.ndarray) -> np.ndarray:
        return (images[..., 0] == 200).mean((1, 2))

    heat = np.linspace(1, 0, 100).reshape(10, 10).T  # column by column from the left
    found = curves(bright, image, [heat, 1 - heat])
    deleted, inserted = found[0].deletion, found[0].insertion
    assert deleted[0] == 0.5 and deleted[SHARES.index(0.5)] == 0 and inserted[-1] == 0.5
    shown = [min(share, 0.5) for share in SHARES]
    assert np.abs(inserted[1:] - shown[1:]).max() < 0.2  # the blurred image may be as bright here and there
    assert found[0].merit > 0 > found[1].merit
    assert np.array_equal(hottest(heat, (0.1, 1.0))[0], np.arange(10)[None].repeat(10, 0) == 0)
    assert hottest(heat, (0.1, 1.0))[1].all() and hottest(np.zeros((4, 4)), (0.25,)).sum() == 4


def test_maps_that_show_nothing_are_moved_copies():
    heat = np.random.default_rng(0).random((12, 9))
    copies = moved_copies(heat, 16, 0)
    assert len(copies) == 16
    for copy in copies:
        assert np.array_equal(np.sort(copy.ravel()), np.sort(heat.ravel()))
        assert not np.array_equal(copy, heat)
    assert all(np.array_equal(a, b) for a, b in zip(copies, moved_copies(heat, 16, 0), strict=True))
    assert not np.array_equal(copies[0], moved_copies(heat, 1, 1)[0])
    other = np.round(np.random.default_rng(1).random((12, 9)), 1)  # with ties
    assert rank_correlation(heat, other) == pytest.approx(spearmanr(heat.ravel(), other.ravel()).statistic)
    assert rank_correlation(heat, 3 * heat + 1) == pytest.approx(1) and rank_correlation(heat, np.ones((12, 9))) == 0


@pytest.mark.parametrize("name", ["logistic", "svm", "spreading", "cnn", "ensemble"])
def test_a_forgetful_model_says_something_else_and_the_model_stays(fitted, name):
    model, x = fitted[name], marked(20, seed=5)[0]
    before = model.predict_proba(x)
    other = forgetful(model, 0)
    assert np.abs(other.predict_proba(x) - before).max() > 0.01
    assert np.array_equal(forgetful(model, 0).predict_proba(x), other.predict_proba(x))
    assert np.array_equal(model.predict_proba(x), before)
    if name == "cnn":
        for key, value in model.weights_.items():
            assert np.array_equal(np.sort(other.weights_[key].ravel()), np.sort(value.ravel()))


@pytest.mark.parametrize("name, by", [("logistic", "occlusion"), ("svm", "occlusion"), ("cnn", "integrated-gradients")])
def test_maps_lie_on_planted_marks(fitted, name, by):
    x, y, mask = marked(3, seed=7)
    model = fitted[name]
    assert np.array_equal(model.predict(x), y)
    found = [one(picture, model, by) for picture in x]
    assert all(mask[i].flat[e.heat.argmax()] for i, e in enumerate(found))
    assert sum(bool(e.said.maps[0].explains) for e in found) >= 2
    assert all(e.said.maps[0].beaten <= e.said.maps[0].of == 19 for e in found)


def test_a_map_that_explains_nothing_says_so(fitted):
    x, y, _ = marked(60)
    model = METHODS["logistic"].make(features="pixels").fit(x, np.random.default_rng(0).permutation(y))
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    verdict = one(grey, model).said.maps[0]
    assert verdict.explains is False and "no better than chance" in verdict.says
    edges = Explainer(fitted["cnn"], ("grad-cam",))
    edges.forgetful = [fitted["cnn"]] * 2  # nothing was forgotten: the maps are the same, and show no learning
    verdict = edges.explain(NamedImage(""), marked(1, seed=7)[0][0]).said.maps[0]
    assert verdict.alike == pytest.approx(1) and verdict.explains is False


# --- parts of an answer ---------------------------------------------------------------------------------------------


def test_shapley_values_are_those_of_the_textbook():
    gloves = shapley(lambda who: float(0 in who and (1 in who or 2 in who)), 3)  # one left glove, two right ones
    assert gloves == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    assert shapley(lambda who: sum([2.0, -1.0, 0.0][i] for i in who) + 5, 3) == pytest.approx([2, -1, 0])


def test_parts_of_a_linear_answer_are_weights_times_features(fitted):
    model, x = fitted["logistic"], marked(3, seed=8)[0]
    for picture in x:
        parts = parts_of_answer(model, 1, picture)
        assert [part.name for part in parts] == ["pixels", "colours"]
        blocks = model._blocks(picture[None])
        weights = (model.weights_[:, 1] - model.weights_[:, 0]) / model.temperature_
        ends = [0, blocks[0].shape[1], None]
        for number, part in enumerate(parts):
            here = slice(ends[number], ends[number + 1])
            assert part.adds == pytest.approx(float((blocks[number][0] - model.mean_[here]) @ weights[here]), abs=1e-3)
            assert part.where.shape == (SIDE, SIDE)
        usual = model._proba_of([model.mean_[None]])[0, 1]
        whole = model.predict_proba(picture[None])[0, 1]
        assert sum(part.adds for part in parts) == pytest.approx(logit(whole) - logit(usual), abs=1e-3)


def test_the_colour_of_a_mark_is_the_part_that_decides(fitted):
    x, y, _ = marked(4, seed=9)
    for picture, k in zip(x, y, strict=True):
        textures, colours = parts_of_answer(fitted["svm"], int(k), picture)
        assert (textures.name, colours.name) == ("textures", "colours")
        assert colours.adds > max(0.5, abs(textures.adds))
    assert parts_of_answer(fitted["cnn"], 0, x[0]) == []
    assert "colours speak for it" in " ".join(one(x[0], fitted["svm"], checks=False).sentences)


# --- labelled images ------------------------------------------------------------------------------------------------


def test_shares_of_labelled_images_are_those_of_a_dense_solve(fitted):
    model, new = fitted["spreading"], marked(5, seed=11)[0]
    shares = SpreadingShares(model)
    assert np.array_equal(shares.places, np.arange(60))
    S = affinity(model._graph).toarray().astype(np.float64)
    G = np.linalg.inv(np.eye(80) - model.record_.chosen["alpha"] * S)[:, :60]
    own = np.empty((80, 60))
    for i in range(80):
        for k in (0, 1):
            of_class = shares.labels == k
            own[i, of_class] = model.spread_[i, k] * G[i, of_class] / G[i, of_class].sum()
    assert np.allclose(shares.of_known(np.arange(80)), own, atol=2e-3)
    neighbours, weights = model._neighbours(new)
    expected = np.stack([w @ own[n] for n, w in zip(neighbours, weights, strict=True)])
    found = shares.of(new)
    assert np.allclose(found, expected, atol=2e-3)
    assert np.allclose(found.sum(1), 1)
    by_class = np.stack([found[:, shares.labels == k].sum(1) for k in (0, 1)], 1)
    assert np.allclose(by_class, model.predict_proba(new), atol=1e-6)
    assert np.allclose(shares.of(model.images_[:3]), shares.of_known(np.arange(3)), atol=1e-6)


def test_labelled_images_are_named_by_the_data(fitted):
    x, y, _ = marked(80)
    data = ImageSet(x[:60], y[:60], ("0", "1"), tuple(f"file-{i}.png" for i in range(60)), np.full(60, ""), "marks")
    picture = marked(1, seed=12)[0][0]
    plain, named = (LabelledImages.of(fitted["spreading"], d).nearest(picture, "0", 3) for d in (None, data))
    assert [i.share for i in plain.images] == [i.share for i in named.images]
    assert plain.images[0].name.endswith("of the fit")
    assert named.images[0].name == f"file-{plain.images[0].name.split()[1]}.png"
    assert "of the answer rests on" in plain.says and len(plain.pictures) == 3
    # an ensemble of spreading alone rests on the same images
    assert LabelledImages.of(fitted["ensemble"]).nearest(picture, "0", 3).images
    for name in ("logistic", "svm", "cnn"):
        assert LabelledImages.of(fitted[name]).nearest(picture, "0", 3) == ((), (), "")
        own = LabelledImages.of(fitted[name], data).nearest(x[7], "1", 3)
        assert own.images[0].name == "file-7.png" and own.images[0].distance == pytest.approx(0, abs=1e-3)
        assert own.images[0].share is None and "not why it answers so" in own.says
    assert most_alike(fitted["majority"], x[:1], x, 3) is None
    with pytest.raises(DataError, match="no labelled image"):
        LabelledImages.of(fitted["svm"], ImageSet(x[:3], np.full(3, -1), (), tuple("abc"), np.full(3, ""), "none"))


def test_the_nearest_labelled_image_is_that_of_the_smallest_distance(fitted):
    x, picture = marked(40)[0], marked(1, seed=13)[0]
    found = most_alike(fitted["cnn"], picture, x, 5)
    net = fitted["cnn"]._built_network()
    with torch.no_grad():
        h = net(network_input(fitted["cnn"], np.concatenate([picture, x]))).features.double().numpy()
    distance = np.linalg.norm(h[1:] - h[0], axis=1)
    assert np.array_equal(found.places[0], np.argsort(distance)[:5])
    assert np.allclose(found.distance[0], np.sort(distance)[:5] / distance.mean(), atol=1e-4)


# --- models of before, and the cache --------------------------------------------------------------------------------


def test_models_that_kept_less_are_explained_with_less(fitted, tmp_path):
    picture = marked(1, seed=12)[0][0]
    for name, kept in (("spreading", "labels_"), ("logistic", "mean_")):
        folder = save_model(fitted[name], tmp_path / name)
        assert np.array_equal(vars(load_model(folder))[kept], vars(fitted[name])[kept])
        state = dict(fitted[name]._state())
        del state[kept]
        old = METHODS[name].make(**fitted[name].get_params(deep=False))
        old._restore(state)
        said = one(picture, old, checks=False).said
        assert said.maps and not said.labelled and not said.parts
    broken = dict(fitted["spreading"]._state(), labels_=np.zeros(80, np.int64))
    with pytest.raises(ValueError, match="labels"):
        METHODS["spreading"].make(pretrained="none")._restore(broken)


def test_nothing_that_is_hidden_stays_in_a_cache(tmp_path):
    cache, computed = Cache(folder=tmp_path), []

    def compute() -> dict[str, np.ndarray]:
        computed.append(1)
        return {"x": np.zeros(2)}

    with passing_cache():
        cache.get(("a",), compute)
        with passing_cache():
            CACHE.get(("a",), compute)  # known inside
    assert len(computed) == 1 and not list(tmp_path.iterdir()) and not cache.kept and CACHE.peek(("a",)) is None
    cache.get(("a",), compute)
    with passing_cache():
        cache.get(("a",), compute)
    assert len(computed) == 2 and cache.kept


# --- discriminators --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Runs of few rounds: D without labels, and D that is told the class."""
    place, (x, y) = tmp_path_factory.mktemp("runs"), striped(120)
    data = ImageSet(x.numpy(), y.numpy(), tuple("abc"), tuple(map(str, range(120))), np.full(120, ""), "striped")
    for name in ("dcgan", "projection"):
        train(data, thin(RECIPES[name]), place / name, images=64, precision="fp32", monitor=False)
    return place, data


@pytest.mark.parametrize("name", ["dcgan", "projection"])
def test_where_a_discriminator_looks(runs, name, tmp_path):
    place, data = runs
    found = sparring.explain(place / name, data=data, by=["occlusion", "grad-cam", "integrated-gradients"], most=2,
                             checks=False, out=tmp_path / "out")  # fmt: skip
    assert [e.said.label for e in found] == ["drawn", "drawn", "real", "real"]
    assert "Where the discriminator looks" in (tmp_path / "out" / "explanations.html").read_text()
    D = Run.read(place / name).newest()[0].best("D").eval()
    looked = LookingDiscriminator.of(Run.read(place / name))
    x, y = data.images[:5], data.labels[:5]
    label = torch.tensor(y) if looked.labels else None
    with torch.no_grad():
        expected = D(to_unit(torch.tensor(x)), label).score.numpy()
        alone = D(to_unit(torch.tensor(x[:1])), torch.tensor([2]) if looked.labels else None).score.numpy()
    assert looked.labels == (name == "projection")
    assert np.allclose(looked.scores(x, y), expected, atol=1e-5)
    assert np.allclose(looked.scores(x[:1], 2), alone, atol=1e-5)
    real, drawn = (looked.heat("integrated-gradients", x[0], int(y[0]), kind) for kind in ("real", "drawn"))
    assert np.allclose(real, -drawn, atol=1e-6)
    lost = looked.forgetful(0)
    assert not np.allclose(lost.scores(x, y), looked.scores(x, y)) and np.allclose(
        looked.scores(x, y), expected, atol=1e-5
    )


def test_runs_that_cannot_be_looked_at(runs, tmp_path):
    place, data = runs
    with pytest.raises(UsageError, match="no discriminator that scores images one by one"):
        LookingDiscriminator.of(replace(Run.read(place / "dcgan"), recipe=RECIPES["vae"]))
    with pytest.raises(UsageError, match="leave out images"):
        sparring.explain(place / "dcgan", data.images[:1])
    with pytest.raises(UsageError, match="other images or classes"):
        other = ImageSet(data.images, data.labels, tuple("xyz"), data.origins, data.parts, "other")
        sparring.explain(place / "projection", data=other)
    checked = sparring.explain(place / "dcgan", most=1)[0].said
    assert checked.maps[0].of == 19 and "score is" in checked.sentences[0] and checked.confidence is None


# --- a walk to another class -----------------------------------------------------------------------------------------


class Brightness(torch.nn.Module):
    """z [N,2] -> an even image, as bright as the angle of z: a turn from black to white."""

    counts: list[int] = []

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(()))

    def body(self, z: torch.Tensor) -> torch.Tensor:
        grey = torch.atan2(z[:, 1], z[:, 0]) / torch.pi
        return (self.one * grey)[:, None, None, None].expand(-1, 1, 8, 8)


def test_a_walk_ends_where_the_model_first_says_another_class():
    sampler = Sampler(Brightness(), Generator("G", z=2), DataSpec(1, 8, 8, 0), ())
    x = np.repeat(np.linspace(0, 255, 60).round().astype(np.uint8), 64).reshape(60, 8, 8, 1)
    model = METHODS["logistic"].make(features="pixels").fit(x, (x[:, 0, 0, 0] > 100).astype(int))
    levels = np.arange(256, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    border = int(model.predict(levels).argmax())  # the first level of class 1
    image = np.full((8, 8, 1), 40, np.uint8)
    walk = walk_to_another_class(sampler, model, image, 0)
    assert walk.off < 4 and walk.images.shape == (7, 8, 8, 1)
    assert abs(int(walk.images[-1, 0, 0, 0]) - border) <= 4 and walk.other == 1 and walk.share >= 0.5
    assert walk.shares[0] > walk.shares[-1] and (np.diff(walk.images[:, 0, 0, 0].astype(int)) >= 0).all()
    assert walk.changed == pytest.approx(border - 40, abs=6)
    assert first_change(lambda t: t > 0.3) == pytest.approx(0.3, abs=0.003)
    assert first_change(lambda t: t > 0.99) == pytest.approx(0.99, abs=0.003)
    said = Explainer(model, checks=False)
    said.sampler = sampler
    found = said.explain(NamedImage("grey"), image).said
    assert found.walk.other == "1" and found.walk.says in found.sentences and "not this image" not in found.walk.says
    far = said.explain(NamedImage("half"), np.arange(64, dtype=np.uint8).reshape(8, 8, 1) // 32 * 90).said.walk
    assert "not this image" in far.says
    model.offset_ = model.offset_ + np.array([1e6, 0], np.float32)  # all is class 0
    assert walk_to_another_class(sampler, model, image, 0) is None
    assert "no walk was found" in said.explain(NamedImage("grey"), image).sentences[-1]


# --- all of it ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def folders(fitted, tmp_path_factory):
    """A model folder and image files: two marks and a file that is no image."""
    place = tmp_path_factory.mktemp("explained")
    model = save_model(fitted["svm"], place / "model")
    (place / "images").mkdir()
    for number, picture in enumerate(marked(2, seed=14)[0]):
        save_png(place / "images" / f"<b>{number}&.png", picture)
    (place / "images" / "bad.png").write_bytes(b"\x89PNG no")
    return model, place / "images"


def test_the_command_writes_a_page_and_says_why(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model, images = folders
    assert main(["explain", str(model), str(images), "--unchecked", "--nearest", "2"]) == 0
    said = capsys.readouterr().out
    assert "The model says" in said and "cannot be read" in said and "model-explained/explanations.html" in said
    page = (tmp_path / "model-explained" / "explanations.html").read_text()
    assert "&lt;b&gt;0&amp;.png" in page and "<b>0" not in page and "<script" not in page
    assert "were not checked" in page and page.count('<img src="data:image/png') == 2 * 4
    found = ExplainedList.read(tmp_path / "model-explained")
    assert [bool(image.problem) for image in found.images].count(True) == 1
    assert main(["explain", str(model), str(images / "<b>1&.png"), "--json", "--out", str(tmp_path / "x")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["method"] == "svm" and told["images"][0]["maps"][0]["of"] == 19
    assert "better than chance" in (tmp_path / "x" / "explanations.html").read_text()


def test_errors_of_the_command(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model, images = map(str, folders)
    for code, error, options in (
        (2, "error[missing]: there are no images to explain", [model]),
        (2, "error[unknown-explanation]", [model, images, "--by", "oclusion"]),
        (2, "error[no-such-map]: grad-cam cannot explain svm", [model, images, "--by", "grad-cam"]),
        (2, "error[not-a-map]", [model, images, "--by", "parts"]),
        (2, "error[unknown-class]", [model, images, "--about", "blue"]),
        (3, "does not exist", [model, str(tmp_path / "none")]),
        (3, "error[bad-image]", [model, f"{images}/bad.png"]),
        (4, "error[model-missing]", [str(tmp_path / "none"), images]),
        (2, "error[out-in-use]", [model, images, "--out", images]),
    ):
        assert main(["explain", *options]) == code, options
        assert error in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_in_python_without_files(fitted):
    x, y, _ = marked(2, seed=15)
    found = sparring.explain(fitted["cnn"], list(x), by=["occlusion", "grad-cam"], checks=False, about="1")
    assert len(found) == 2 and [m.verdict.by for m in found[0].maps] == ["occlusion", "grad-cam"]
    for explanation in found:
        assert explanation.heat.shape == (SIDE, SIDE) and explanation.heat.dtype == np.float32
        assert explanation.heat.min() >= 0 and explanation.heat.max() in (0, 1)
        assert explanation.said.about == "1" and explanation.said.maps[0].explains is None
    assert [e.said.label for e in found] == [str(k) for k in y]
    assert "This is about 1" in found[0].sentences[0] and "This is about" not in found[1].sentences[0]
    nothing = sparring.explain(fitted["majority"], x[0])[0]
    assert nothing.heat is None and "says the same of every image" in nothing.sentences[-1]
    with pytest.raises(UnknownName, match="did you mean occlusion"):
        sparring.explain(fitted["cnn"], x[0], by=["oclusion"])
    with pytest.raises(UsageError, match="fits any method"):
        sparring.explain(fitted["majority"], x[0], by=["occlusion"])


def test_the_table_says_what_fits(fitted):
    assert list(EXPLANATIONS)[:3] == ["occlusion", "grad-cam", "integrated-gradients"]
    usual = {"cnn": ["integrated-gradients"], "svm": ["occlusion"], "ensemble": ["occlusion"], "majority": []}
    for name, expected in usual.items():
        assert [row.name for row in chosen_maps(fitted[name], ())] == expected
    assert "arXiv:1610.02391" in EXPLANATIONS["grad-cam"].cites[0]
    for name, row in EXPLANATIONS.items():
        assert row.title and row.what.endswith(".") and (row.shows == "map") == bool(row.function), name
        assert row.fits_model(fitted["cnn"]) and not row.fits_model(fitted["majority"])


def test_the_score_of_a_network_is_not_cut_off(fitted):
    x = marked(4, seed=16)[0]
    with torch.no_grad():
        logits = fitted["cnn"]._built_network()(network_input(fitted["cnn"], x)).logits.double()
    assert np.allclose(score_of(fitted["cnn"], 0)(x), (logits[:, 0] - logits[:, 1]).numpy(), atol=1e-4)
    p = fitted["svm"].predict_proba(x)
    assert np.allclose(score_of(fitted["svm"], 1)(x), logit(p[:, 1]))
    heat = integrated_gradients_heat(fitted["cnn"], 0, x[0])
    inside = network_input(fitted["cnn"], x[:1])
    even = inside.mean((2, 3), keepdim=True).expand_as(inside)
    with torch.no_grad():
        expected = network_score(fitted["cnn"], 0, torch.cat([inside, even])).diff().neg().item()
    assert heat.sum() == pytest.approx(expected, rel=0.2, abs=0.3)  # the blur repeats the edge


def test_hostile_words_are_only_text_on_the_page(tmp_path):
    evil = '"><script>alert(1)</script>\u202e'
    verdict = MapVerdict("occlusion", evil, evil, evil, False, 0.1, 0.2, 3, 19, 0.9, "../../secret.png")
    said = sparring.explaining.Explained(
        evil,
        evil,
        0.5,
        evil,
        0.5,
        (verdict,),
        (),
        (LabelledImage(evil, evil, 0.5),),
        sentences=(evil,),
        picture="missing.png",
    )
    found = ExplainedList(1, evil, evil, evil, evil, (evil,), (said, replace(said, problem=evil)))
    (tmp_path / FILE).write_text(json.dumps(sparring.records.to_json(found, kinds=False)))
    page = write_explanations_page(tmp_path).read_text()
    assert "<script" not in page and "\u202e" not in page
    assert "1 of 1 heat maps explain nothing" in page and "picture not found" in page
    with pytest.raises(FileFormatError):
        write_explanations_page(tmp_path / "none")


def test_words_for_places_and_pictures():
    for (row, column), words in {
        (0, 0): "in the upper left",
        (0, 5): "at the top",
        (5, 11): "on the right",
        (5, 5): "in the middle",
        (11, 11): "in the lower right",
        (11, 5): "at the bottom",
    }.items():
        heat = np.zeros((12, 12))
        heat[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 1
        assert place_words(heat) == words
    assert place_words(np.zeros((5, 5))) == "nowhere"
    picture = heated(np.full((2, 2, 1), 100, np.uint8), np.array([[0, 0], [0, 1.0]]))
    assert picture.shape == (2, 2, 3) and (picture[0, 0] == 100).all() and picture[1, 1].min() < picture[1, 1].max()


def test_a_map_whose_hottest_tenth_lowers_nothing_is_not_said_to_lower_it():
    rising = np.full(len(SHARES), 0.2)
    rising[0], rising[SHARES.index(HOT)] = 0.64, 0.69
    said = map_sentence(Curves(rising, rising), 19, 19, 0.1)
    assert said.startswith("Hiding the hottest tenth does not lower the probability (64.0 %, then 69.0 %)")
    falling = rising.copy()
    falling[SHARES.index(HOT)] = 0.3
    said = map_sentence(Curves(falling, falling), 19, 19, 0.1)
    assert said.startswith("Hiding the hottest tenth takes the probability from 64.0 % to 30.0 %. It beats all 19")
