"""Folders as people have them: parts, pools, masks and wrapped folders by their words; what stays open is refused."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import class_folders, encoded, parquet, pixels, write_image
from PIL import Image

from sparring.data import ImageSet, load, paired
from sparring.data.pairs import unpaired
from sparring.data.spellings import containers, doubtful_pool, mask_stem, named_parts, pool_beginning
from sparring.errors import DataError, UsageError

NFC, NFD = "caf\u00e9", "cafe\u0301"


def images(folder: Path, count: int, *, start: int = 0) -> None:
    """Write 000.png, 001.png, ...; the content depends on the folder's name, so no two images are equal."""
    seed = sum(map(ord, str(folder.name) + folder.parent.name)) * 1000
    for i in range(start, start + count):
        write_image(folder / f"{i:03d}.png", seed + i)


def mask(path: Path, *, left: int = 3, quality: int | None = None) -> None:
    drawn = np.zeros((24, 24), np.uint8)
    drawn[5:15, left : left + 9] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawn).save(path, **({} if quality is None else {"quality": quality}))


def said(got: ImageSet) -> str:
    return "\n".join(got.notes.warnings)


def parts(got: ImageSet) -> dict[tuple[str, bool], int]:
    """(part, whether labelled) -> how many images."""
    return dict(Counter(zip(got.parts.tolist(), got.labelled.tolist(), strict=True)))


# The words


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("train", "train Train TRAINING train_images TrainImages training_set seg_train train_data trainset "
                  "train2017 x_train trainval trainX Trainingsdaten Trainingsbilder entraînement jeu_d_entrainement "
                  "entrenamiento conjunto_de_entrenamiento treino treinamento addestramento обучение обучающая_выборка "
                  "训练 训练集 訓練データ 学習用 トレーニング dev development"),
        ("test", "test Test TESTING test_images test_set seg_test testset test1 holdout Testdaten Testbilder "
                 "jeu_de_test prueba conjunto_de_prueba teste тест тестовая_выборка 测试集 テスト eval evaluation"),
        ("val", "val valid Valid validation val_data val2017 validierung Validierungsdaten validación validação "
                "validazione валидация 验证集 検証データ"),
    ],
)  # fmt: skip
def test_names_of_parts(part, names):
    for name in [*names.split(), f"{names.split()[0]} images"]:
        assert named_parts([name]) == {name: part}, name


@pytest.mark.parametrize("name", ["bullet train", "train_station", "cat", "test_tube", "steam-train", "trainer",
                                  "valley", "evaluator", "testament", "devil", "validity", "trainers"])  # fmt: skip
def test_names_that_are_no_parts(name):
    assert named_parts([name]) == {}


def test_parts_by_what_they_share_and_by_what_else_is_there():
    assert named_parts(["asl_train", "asl_test"]) == {"asl_train": "train", "asl_test": "test"}
    assert named_parts(["train", "dev", "test"]) == {"train": "train", "dev": "val", "test": "test"}
    assert named_parts(["dev", "eval"]) == {"dev": "train", "eval": "test"}
    assert named_parts(["train", "eval", "test"]) == {"train": "train", "eval": "val", "test": "test"}
    assert named_parts(["train_unlabeled", "train"]) == {"train": "train"}


@pytest.mark.parametrize(
    "name",
    ["unlabelled", "Unlabeled", "unlabeled_images", "unlabelled images", "no_label", "NoLabels", "unsupervised",
     "unsup", "unlabeled2017", "train_unlabeled", "UnlabeledImages", "not-labelled", "unannotated", "unbeschriftet",
     "ohne Label", "ungelabelt", "non étiquetées", "sans_etiquette", "sin etiquetar", "sin_etiqueta",
     "não rotuladas", "sem rótulo", "non_etichettate", "неразмеченные", "без меток", "未标注", "无标签数据",
     "ラベルなし"],
)  # fmt: skip
def test_names_of_pools(name):
    assert pool_beginning(name) and not doubtful_pool(name)


@pytest.mark.parametrize("name", ["piano_label", "unsupported", "label", "extravirgin", "nolan", "unlucky"])
def test_names_that_are_no_pools(name):
    assert not pool_beginning(name) and not doubtful_pool(name)


@pytest.mark.parametrize("name", ["extra", "Extra images", "additional", "unsorted", "weitere", "adicionales"])
def test_names_that_may_be_pools(name):
    assert doubtful_pool(name) and not pool_beginning(name)


def test_names_of_masks_and_of_containers():
    for name in (
        "1_mask",
        "1-seg",
        "1.gt",
        "1_GT",
        "1_label",
        "1_Segmentation",
        "1_ground_truth",
        "1_mask_2",
        "1_maske",
    ):
        assert mask_stem(name) == "1", name
    assert mask_stem("benign (1)_mask_1") == "benign (1)"
    for name in ("1", "mask", "1_masked", "my label maker", "1_cat"):
        assert mask_stem(name) is None, name
    assert containers(["images"]) and containers(["HAM_images_part_1", "HAM_images_part_2"])
    assert not containers(["cat", "dog"]) and not containers(["images", "cat"]) and not containers(["1", "2"])


# Parts


@pytest.mark.parametrize(("train", "test", "part"), [
    ("train_images", "test_images", "test"), ("training_set", "test_set", "test"), ("seg_train", "seg_test", "test"),
    ("train_data", "val_data", "val"), ("dev", "eval", "test"), ("Train", "Valid", "val"), ("训练集", "测试集", "test"),
])  # fmt: skip
def test_folders_of_parts_are_no_classes(train, test, part, tmp_path):
    images(tmp_path / train, 6)
    images(tmp_path / test, 3)
    assert load(tmp_path).classes == ()
    (tmp_path / "train.csv").write_text("image_id,label\n" + "".join(f"{i:03d}.png,{'abc'[i % 3]}\n" for i in range(6)))
    got = load(tmp_path)
    assert got.classes == ("a", "b", "c") and parts(got) == {("train", True): 6, (part, False): 3}
    assert f"the images of {test}/ have no labels: the {part} part cannot be tested on" in said(got)
    assert all(origin.startswith(train) for origin, has in zip(got.origins, got.labelled, strict=True) if has)


def test_folders_of_parts_with_classes_in_them(tmp_path):
    for part in ("seg_train", "seg_test"):
        for name in ("sea", "wood"):
            images(tmp_path / part / part / name, 4)  # the same folder twice, as some zips unpack
    images(tmp_path / "seg_pred" / "seg_pred", 5)
    got = load(tmp_path)
    assert got.classes == ("sea", "wood")
    assert parts(got) == {("train", True): 8, ("test", True): 8, ("", False): 5}
    assert "5 images in seg_pred/: taken as unlabelled" in said(got)


def test_a_class_and_a_part_in_one_name_are_refused(tmp_path):
    for name in ("cat_train", "cat_test", "dog_train", "dog_test"):
        images(tmp_path / name, 3)
    with pytest.raises(DataError, match="name a class and a part each.*--unlabelled none"):
        load(tmp_path)
    assert len(load(tmp_path, unlabelled="none").classes) == 4


def test_a_class_of_the_test_part_alone_is_said(tmp_path):  # B39
    for part, classes in {"train": ("cat", "dog"), "test": ("cat", "dog", "owl")}.items():
        class_folders(tmp_path / "photos" / part, classes=classes)
    found = load(str(tmp_path / "photos"))
    assert found.classes == ("cat", "dog", "owl") and "class 'owl' is in the test part only" in found.notes.warnings


def test_labels_in_the_validation_part_alone_are_learned_from(tmp_path):
    class_folders(tmp_path / "val")
    images(tmp_path / "test", 3)
    assert parts(load(tmp_path)) == {("", True): 8, ("test", False): 3}


def test_parts_that_are_classes_stay_classes(tmp_path):
    assert load(class_folders(tmp_path, classes=("bus", "train"))).classes == ("bus", "train")


def test_a_class_in_two_unicode_forms_is_one(tmp_path):
    for part, name in (("train", NFC), ("test", NFD)):
        images(tmp_path / part / name, 3)
        images(tmp_path / part / "tea", 3)
    got = load(tmp_path)
    assert got.classes == (NFC, "tea") and parts(got) == {("train", True): 6, ("test", True): 6}
    assert f"two Unicode forms in different parts are taken as one: {NFC}" in said(got)


# Pools


@pytest.mark.parametrize("name", ["unlabeled_images", "unlabelled images", "no_label", "unsupervised", "unlabeled2017"])
def test_pools_are_no_classes(name, tmp_path):
    folder = class_folders(tmp_path / "photos")
    images(folder / name, 10)
    got = load(folder)
    assert got.classes == ("cat", "dog") and parts(got) == {("", True): 8, ("", False): 10}
    assert f"10 images in {name}/: taken as unlabelled" in said(got)
    assert name in load(folder, unlabelled="none").classes


@pytest.mark.parametrize("name", ["extra", "additional images"])
def test_a_doubtful_pool_is_asked_about_with_two_commands_that_work(name, tmp_path):
    folder = class_folders(tmp_path / "photos")
    images(folder / name, 10)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert f"{name} holds 10 images beside the classes: are they without labels, or is it a class?" in str(caught.value)
    assert "--unlabelled" in str(caught.value) and "--unlabelled none" in str(caught.value)
    got = load(folder, unlabelled=folder / name)
    assert got.classes == ("cat", "dog") and parts(got) == {("", True): 8, ("", False): 10}
    assert set(load(folder, unlabelled="none").classes) == {"cat", "dog", name}


def test_a_pool_beside_one_class_is_asked_about(tmp_path):
    for name in ("label", "no_label"):
        images(tmp_path / name, 4)
    with pytest.raises(DataError, match="no_label holds 4 images beside the classes"):
        load(tmp_path)
    assert load(tmp_path, unlabelled="none").classes == ("label", "no_label")


def test_extra_images_beside_parts(tmp_path):
    for part in ("train", "test"):
        class_folders(tmp_path / "photos" / part)
    images(tmp_path / "photos" / "extra", 5)
    with pytest.raises(DataError, match="beside train/ and test/ .* holds extra/.*--unlabelled .*photos/extra"):
        load(tmp_path / "photos")
    got = load(tmp_path / "photos", unlabelled=tmp_path / "photos" / "extra")
    assert got.classes == ("cat", "dog") and parts(got)["", False] == 5


def test_a_pool_loses_the_copies_of_labelled_images(tmp_path):
    folder = class_folders(tmp_path / "photos")
    for i in range(8):
        write_image(folder / "unlabelled" / f"{i}.png", i if i < 3 else 900 + i)  # cat has the seeds 0..3
    got = load(folder)
    assert parts(got) == {("", True): 8, ("", False): 5}
    assert "3 unlabelled images are copies of labelled ones, such as unlabelled/0.png: left out" in said(got)
    elsewhere = load(folder / "cat", unlabelled=None)
    assert len(elsewhere) == 4 and not said(elsewhere)
    again = load((np.stack([pixels(i) for i in range(8)]), [0, 1, 0, 1] + [-1] * 4), unlabelled=folder / "unlabelled")
    assert parts(again) == {("", True): 4, ("", False): 9}


def test_folders_called_like_images_are_no_classes(tmp_path):
    images(tmp_path / "a" / "images", 4)
    assert load(tmp_path / "a").classes == ()
    for i in (1, 2):
        images(tmp_path / "b" / f"HAM_images_part_{i}", 4)
    got = load(tmp_path / "b")
    assert got.classes == () and len(got) == 8
    assert "HAM_images_part_1/, HAM_images_part_2/ are called like images, not like classes: unlabelled" in said(got)


# Masks


@pytest.mark.parametrize(("word", "ending"), [("_mask", "png"), ("_seg", "png"), ("-gt", "bmp"), ("_label", "jpg")])
def test_masks_beside_images_are_left_out(word, ending, tmp_path):
    for name in "ab":
        images(tmp_path / name, 3)
        for i in range(3):
            mask(tmp_path / name / f"{i:03d}{word}.{ending}", left=i, quality=80 if ending == "jpg" else None)
    mask(tmp_path / "a" / f"000{word}_1.{ending}")
    got = load(tmp_path)
    assert got.classes == ("a", "b") and len(got) == 6 and not any(word in origin for origin in got.origins)
    assert f"7 masks beside the images, such as a/000{word}.{ending}: left out" in said(got)
    assert got.notes.ignored["masks of images"] == 7


def test_what_is_called_like_a_mask_and_shows_more_is_an_image(tmp_path):
    for name in "ab":
        images(tmp_path / name, 3)
        write_image(tmp_path / name / "000_label.png", 800 + ord(name))
    got = load(tmp_path)
    assert len(got) == 8
    assert "2 images are called like masks but show more than two values, such as a/000_label.png" in said(got)


def test_a_folder_of_masks_is_no_class(tmp_path):
    images(tmp_path / "images", 5)
    for i in range(5):
        mask(tmp_path / "masks" / f"{i:03d}.png", left=i)
    got = load(tmp_path)
    assert got.classes == () and len(got) == 5 and "5 masks beside the images" in said(got)


def test_images_of_two_values_are_classes_where_they_belong_to_no_image(tmp_path):
    for name in ("with_mask", "without_mask"):
        for i in range(4):
            mask(tmp_path / name / f"{name}{i}.png", left=i + (name == "with_mask"))
    assert load(tmp_path).classes == ("with_mask", "without_mask")


# Parquet


def parquet_of(top: Path, columns: dict, classes: dict[str, list[str]] | None = None) -> Path:
    """Write rows with images; `classes`: the columns that the file calls a ClassLabel."""
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    count = len(next(iter(columns.values())))
    held = arrow.table({"image": [{"bytes": encoded("PNG", i), "path": f"{i}.png"} for i in range(count)], **columns})
    features = {name: {"_type": "ClassLabel", "names": names} for name, names in (classes or {}).items()}
    held = held.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    top.mkdir(parents=True, exist_ok=True)
    write_table(held, top / "x.parquet")
    return top / "x.parquet"


@pytest.mark.parametrize("name", ["diagnosis", "species", "digit", "coarse_label", "dx"])
def test_the_only_class_label_of_parquet_is_the_label(name, tmp_path):
    numbers = [i % 2 for i in range(6)]
    got = load(parquet_of(tmp_path, {name: numbers, "weight": list(range(6))}, {name: ["disc", "ring"]}))
    assert got.classes == ("disc", "ring") and got.labels.tolist() == numbers and said(got) == ""
    assert got.notes.ignored == {"column weight": 1}


def test_several_class_labels_are_asked_about(tmp_path):
    names = {"fine_label": ["a", "b", "c"], "coarse_label": ["x", "y"]}
    columns = {"fine_label": [i % 3 for i in range(6)], "coarse_label": [i % 2 for i in range(6)]}
    path = parquet_of(tmp_path, columns, names)
    with pytest.raises(DataError) as caught:
        load(path)
    assert "several columns" in str(caught.value) and "'fine_label', 'coarse_label'" in str(caught.value)
    assert f"sparring data {path} --label fine_label or sparring data {path} --label coarse_label" in str(caught.value)
    assert load(path, label="coarse_label").classes == ("x", "y")
    assert load(path, label="fine_label").classes == ("a", "b", "c")
    assert load(class_folders(tmp_path / "photos"), unlabelled=path).classes == (
        "cat",
        "dog",
    )  # labels are not asked for
    with pytest.raises(DataError, match="has no column fine_labl, did you mean fine_label"):
        load(path, label="fine_labl")


def test_a_column_called_label_wins_and_the_others_are_mentioned(tmp_path):
    columns = {"label": [i % 2 for i in range(6)], "site": [i % 3 for i in range(6)]}
    got = load(parquet_of(tmp_path, columns, {"label": ["a", "b"], "site": ["x", "y", "z"]}))
    assert got.classes == ("a", "b") and "'site' could be, too: --label site" in said(got)


def test_columns_of_parquet_without_features(tmp_path):
    one = load(parquet_of(tmp_path / "a", {"dx": ["u", "v"] * 3, "id": list(range(6)), "note": list("abcdef")}))
    assert one.classes == ("u", "v") and "column 'dx' taken as the label" in said(one)
    with pytest.raises(DataError, match="several columns of .*x.parquet could be the label: 'dx', 'site'"):
        load(parquet_of(tmp_path / "b", {"dx": ["u", "v"] * 3, "site": [1, 1, 2, 2, 3, 3]}))
    none = load(parquet_of(tmp_path / "c", {"id": list(range(6))}))
    assert none.classes == ()


def test_parquet_beside_previews(tmp_path):
    rows = {"image": [{"bytes": encoded("PNG", i)} for i in range(4)], "label": [0, 1, 0, 1]}
    (tmp_path / "data").mkdir()
    parquet(tmp_path / "data", rows)
    write_image(tmp_path / "preview.png", 90)
    got = load(tmp_path)
    assert len(got) == 4 and (got.parts == "train").all()
    assert "1 image files beside the Parquet files, such as preview.png: left out" in said(got)
    images(tmp_path / "photos", 9)
    with pytest.raises(DataError, match="10 image files and Parquet files with 4 images.*sparring data .* or sparring"):
        load(tmp_path)


# Archives, options, pairs


def test_an_archive_in_an_archive_is_to_be_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("inner.zip", b"PK\x03\x04")
    with pytest.raises(DataError, match=r"unpack .*photos.zip, and pass inner.zip"):
        load(tmp_path / "photos.zip")


def test_a_column_is_named_only_where_there_are_columns(tmp_path):
    folder = class_folders(tmp_path / "photos")
    with pytest.raises(UsageError, match="has no table with such a column"):
        load(folder, label="dx")
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 8, 8), np.uint8))
    for source in (tmp_path / "x.npz", np.zeros((2, 8, 8), np.uint8)):
        with pytest.raises(UsageError, match="column"):
            load(source, label="dx")


def test_images_without_a_partner_are_counted_and_named(tmp_path):
    for name, numbers in (("photos", (0, 1, 2, 3)), ("drawings", (2, 3, 4))):
        for i in numbers:
            write_image(tmp_path / name / f"{i}.png", 10 * i + len(name))
    photos, drawings = load(tmp_path / "photos"), load(tmp_path / "drawings")
    targets, sources = paired(photos, drawings)
    assert targets.origins == sources.origins == ("2.png", "3.png")
    words = [
        "2 of 4 images of photos have no partner: left out (0.png, 1.png)",
        "1 of 3 images of drawings have no partner: left out (4.png)",
    ]
    assert unpaired(photos, drawings) == words and targets.notes.warnings == (*photos.notes.warnings, *words)
    assert unpaired(photos, photos) == []
