"""Tables as people have them: how they call the images, the columns and themselves; what stays open is refused."""

import json
from collections import Counter
from pathlib import Path

import pytest
from bad_inputs import class_folders, write_image

from sparring.cli import main
from sparring.data import ImageSet, load
from sparring.data.matching import ImageFinder, Naming, Place
from sparring.data.splits import split
from sparring.data.table_files import raw_table
from sparring.data.trees import Tree
from sparring.errors import DataError

COUNT = 12


def flat(folder: Path, count: int = COUNT, *, seed: int = 0, ending: str = "png") -> Path:
    for i in range(count):
        write_image(folder / f"{i:03d}.{ending}", seed + i)
    return folder


def rows(head: str, line, count: int = COUNT) -> str:
    """A table: its first line, and one line per image by `line(number, label)`."""
    return "\n".join([head, *(line(i, "abc"[i % 3]) for i in range(count))]) + "\n"


def one_hot(label: str) -> list[str]:
    return [str(int(label == name)) for name in "abc"]


def said(got: ImageSet) -> str:
    return "\n".join(got.notes.warnings)


def assert_labelled(got: ImageSet) -> None:
    """Every image has the label that its number says."""
    assert got.classes == ("a", "b", "c")
    numbers = [int("".join(filter(str.isdigit, Path(origin).stem))) for origin in got.origins]
    assert got.labels.tolist() == [number % 3 for number in numbers]


# How a table calls the images

CALLED = {  # how a file is called -> what is said of it
    "images/{i:03d}.png": "",
    "./images/{i:03d}.png": "",
    "{top}/images/{i:03d}.png": "",
    "photos/images/{i:03d}.png": "were found by the end of the path",
    "{i:03d}.png": "were found by the end of the path",
    "/home/me/photos/images/{i:03d}.png": "were found by the end of the path",
    r"C:\Users\me\images\{i:03d}.png": "were found by the end of the path",
    "/kaggle/input/{i:03d}.png": "were found by the file name alone",
    "images/{i:03d}": "were found without the ending or with another one",
    "images/{i:03d}.jpg": "were found without the ending or with another one",
    "images/{i:03d}.PNG": "were found in other letters",
    "Images/{i:03d}.png": "",
    "{i:03d}": "by the end of the path and without the ending",
    "{i}": "by the end of the path and by the number in the name",
    "/data/upload/1/3f2a1b4c-{i:03d}.png": "were found by the file name alone",
    "/data/local-files/?d=images/{i:03d}.png": "",
    "s3://bucket/images/{i:03d}.png": "",
}


@pytest.mark.parametrize("called", CALLED)
@pytest.mark.parametrize("name", ["labels.csv", "Train.csv"])
def test_whatever_fits_exactly_one_image_is_that_image(called, name, tmp_path):
    top = tmp_path / "photos"
    flat(top / "images")
    (top / name).write_text(rows("file,label", lambda i, label: f"{called.format(i=i, top=top)},{label}"))
    got = load(top)
    assert_labelled(got)
    assert CALLED[called] in said(got) and bool(CALLED[called]) == ("were found" in said(got))


@pytest.mark.parametrize(
    ("name", "there", "found"),
    [
        ("1.png", ["1.png", "a/1.png"], ["1.png"]),
        ("a/1.png", ["a/1.png", "b/a/1.png"], ["a/1.png"]),
        ("x/a/1.png", ["a/1.png", "b/1.png"], ["a/1.png"]),
        ("1.png", ["a/1.png", "b/1.png"], ["a/1.png", "b/1.png"]),
        ("1.jpg", ["1.png", "1.jpg"], ["1.jpg"]),
        ("1", ["1.png", "1.jpg"], ["1.png", "1.jpg"]),
        ("7", ["007.png", "70.png"], ["007.png"]),
        ("IMG.PNG", ["img.png", "IMG.png"], ["img.png", "IMG.png"]),
        ("caf\u00e9.png", ["cafe\u0301.png"], ["cafe\u0301.png"]),
        ("a%20b.png", ["a b.png"], ["a b.png"]),
        ("../1.png", ["1.png"], []),
        ("2.png", ["1.png"], []),
        ("", ["1.png"], []),
        ("a.b", ["a.b.png", "a.png"], ["a.b.png"]),
    ],
)
def test_images_that_a_name_fits(name, there, found):
    finder = ImageFinder(Tree(top="photos", name="photos", read=str, images=there))
    assert list(finder.find(name).paths) == found


def test_how_a_name_fits_is_told():
    finder = ImageFinder(Tree(top="photos", name="photos", read=str, images=["a/1.png", "b/2.png"]))
    found = finder.find("x/02.PNG")
    assert (found.paths, found.place, found.naming) == (("b/2.png",), Place.FOREIGN, Naming.NUMBER)
    assert found.words == "by the file name alone and by the number in the name"
    assert finder.find("a/1.png").words == ""


def test_a_name_in_a_folder_that_is_not_here_is_missing_where_others_are_found_by_their_folders(tmp_path):
    class_folders(tmp_path, each=3)
    lines = "".join(f"cat/{i}.png,a\n" for i in range(3)) + "bird/2.png,b\n"
    (tmp_path / "labels.csv").write_text("file,label\n" + lines)
    with pytest.raises(DataError, match=r"names 1 files that are not there \(line 5: bird/2.png\)"):
        load(tmp_path)


def test_names_that_fit_several_images_are_refused_with_two_commands_that_work(tmp_path):
    for number, name in enumerate("xy"):
        flat(tmp_path / name, seed=100 * number)
    table = tmp_path / "labels.csv"
    table.write_text(rows("file,label", lambda i, label: f"{i:03d}.png,{label}"))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    words = str(caught.value)
    assert "12 files of" in words and "line 2: 000.png fits x/000.png and y/000.png" in words
    assert f"sparring data {tmp_path}/x --table {table} or sparring data {tmp_path}/y --table {table}" in words
    assert_labelled(load(tmp_path / "y", table=table))


def test_names_that_all_are_in_one_folder_only_are_of_that_folder(tmp_path):
    flat(tmp_path / "x")
    flat(tmp_path / "y", 4, seed=100)
    (tmp_path / "labels.csv").write_text(rows("file,label", lambda i, label: f"{i:03d}.png,{label}"))
    got = load(tmp_path)
    assert Counter(origin[0] for origin, has in zip(got.origins, got.labelled, strict=True) if has) == {"x": COUNT}


def test_a_table_in_a_folder_of_its_own(tmp_path):
    flat(tmp_path / "images")
    (tmp_path / "annotations").mkdir()
    for called in ("../images/{i:03d}.png", "images/{i:03d}.png", "{i:03d}.png"):
        text = rows("file,label", lambda i, label, called=called: f"{called.format(i=i)},{label}")
        (tmp_path / "annotations" / "labels.csv").write_text(text)
        assert_labelled(load(tmp_path))


def test_files_that_are_there_but_cannot_be_read_are_not_missing(tmp_path):
    flat(tmp_path)
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic")
    text = rows("file,label", lambda i, label: f"{i:03d}.png,{label}")
    (tmp_path / "labels.csv").write_text(text + "x.heic,a\n")
    assert_labelled(load(tmp_path))
    assert load(tmp_path).notes.ignored[".heic files"] == 1


# How a table and its columns are called


@pytest.mark.parametrize(
    "name",
    ["labels.csv", "Labels.csv", "LABELS.CSV", "metadata.csv", "_classes.csv", "train.csv", "Train.csv", "info.csv",
     "HAM10000_metadata.csv", "etiquetas.csv", "метки.csv", "标签.csv"],
)  # fmt: skip
def test_tables_of_any_name(name, tmp_path):
    flat(tmp_path)
    (tmp_path / name).write_text(rows("file_name,label", lambda i, label: f"{i:03d}.png,{label}"))
    got = load(tmp_path)
    assert_labelled(got)
    assert (name in got.notes.layout) == (name.lower() != "labels.csv") and ".csv files" not in got.notes.ignored


@pytest.mark.parametrize(
    "head",
    ["file,label", "Filename,Class", "image_id,label", "image,dx", "Image Name,Diagnosis", "img_path,target",
     "id,breed", "fileName,className", "datei,klasse", "bild,kategorie", "fichier,classe", "archivo,clase",
     "imagen,etiqueta",
     "arquivo,rótulo", "immagine,etichetta", "файл,класс", "изображение,метка", "文件名,标签", "图片,类别",
     "画像,ラベル", "xyz,uvw"],
)  # fmt: skip
def test_columns_of_any_name(head, tmp_path):
    flat(tmp_path)
    (tmp_path / "train.csv").write_text(rows(head, lambda i, label: f"{i:03d},{label}"), encoding="utf-8")
    assert_labelled(load(tmp_path))
    (tmp_path / "train.csv").rename(tmp_path / "labels.csv")
    assert_labelled(load(tmp_path))
    (tmp_path / "labels.csv").write_text(rows("n," + head, lambda i, label: f"{100 - i},{i:03d}.png,{label}"))
    assert_labelled(load(tmp_path))


def test_other_forms_of_tables(tmp_path):
    objects = [{"file_name": f"{i:03d}.png", "label": "abc"[i % 3]} for i in range(COUNT)]
    tables = {
        "labels.tsv": rows("file\tlabel", lambda i, label: f"{i:03d}.png\t{label}"),
        "metadata.jsonl": "".join(json.dumps(row) + "\n" for row in objects),
        "metadata.json": json.dumps(objects),
        "labels.json": json.dumps({row["file_name"]: row["label"] for row in objects}),
        "_classes.csv": rows("filename, a, b, c", lambda i, x: f"{i:03d}.png, {', '.join(one_hot(x))}"),
        "truth.csv": rows("image,a,b,c", lambda i, x: f"{i:03d},{','.join(f'{n}.0' for n in one_hot(x))}"),
    }
    for name, text in tables.items():
        folder = flat(tmp_path / name)
        (folder / name).write_text(text)
        got = load(folder)
        assert_labelled(got)
        assert got.notes.unread == ()


def test_tables_inside_parts(tmp_path):
    for number, part in enumerate(("train", "valid", "test")):
        folder = flat(tmp_path / part, seed=100 * number)
        text = rows("filename, a, b, c", lambda i, x: f"{i:03d}.png, {', '.join(one_hot(x))}")
        (folder / ("_classes.csv" if part == "train" else "metadata.csv")).write_text(text)
    got = load(tmp_path)
    assert_labelled(got)
    assert Counter(got.parts.tolist()) == {"train": COUNT, "val": COUNT, "test": COUNT}


def test_one_hot_rows_of_no_class_and_of_several(tmp_path):
    flat(tmp_path)
    text = rows("file,a,b", lambda i, _: f"{i:03d}.png,{int(i % 2 == 0 and i > 1)},{i % 2}")
    (tmp_path / "_classes.csv").write_text(text)
    got = load(tmp_path)
    assert got.classes == ("a", "b") and got.labels.tolist() == [-1, 1] + [0, 1] * 5
    (tmp_path / "_classes.csv").write_text(rows("file,a,b", lambda i, _: f"{i:03d}.png,1,{i % 2}"))
    with pytest.raises(DataError, match=r"gives 6 images several classes at once \('a', 'b'\)"):
        load(tmp_path)
    assert load(tmp_path, label="b").classes == ("0", "1")


def test_several_columns_that_could_be_the_label_are_asked_about(tmp_path):
    flat(tmp_path)
    (tmp_path / "data.csv").write_text(rows("file,grade,site,age", lambda i, x: f"{i:03d}.png,{i % 2},{x},{20 + i}"))
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert "several columns of" in str(caught.value) and "'grade', 'site'" in str(caught.value)
    assert f"sparring data {tmp_path} --label grade or sparring data {tmp_path} --label site" in str(caught.value)
    assert_labelled(load(tmp_path, label="site"))
    assert load(tmp_path, label="grade").classes == ("0", "1")
    with pytest.raises(DataError, match="several columns"):
        load(tmp_path, label="agee")
    with pytest.raises(
        DataError, match="has no column sites, did you mean site.; it has 'file', 'grade', 'site', 'age'"
    ):
        load(tmp_path, table=tmp_path / "data.csv", label="sites")


def test_a_column_called_label_wins_and_others_are_mentioned(tmp_path):
    flat(tmp_path)
    text = rows("file,label,name_of_label,category", lambda i, x: f"{i:03d}.png,{x},{x.upper()},{i % 2}")
    (tmp_path / "labels.csv").write_text(text)
    got = load(tmp_path)
    assert_labelled(got)
    assert "the labels are column 'label'; 'category' could be, too: --label category" in said(got)
    (tmp_path / "labels.csv").write_text(text.replace("file,label", "file,target"))
    with pytest.raises(DataError, match="several columns of .* could be the label: 'category', 'target'"):
        load(tmp_path)


def test_a_single_column_like_a_label_is_taken_and_said(tmp_path):
    flat(tmp_path)
    text = rows("file,what,x,caption,patient_id", lambda i, x: f"{i:03d}.png,{x},{i / 7},no {i},{i % 4}")
    (tmp_path / "data.csv").write_text(text)
    got = load(tmp_path)
    assert_labelled(got)
    assert "column 'what' taken as the label" in said(got)


def test_parts_in_tables(tmp_path):
    flat(tmp_path)
    for words in (("train", "test"), ("Training", "Testing"), ("TRAIN", "eval"), ("обучение", "тест")):
        line = lambda i, x, words=words: f"{i:03d}.png,{x},{words[i >= 9]}"  # noqa: E731
        (tmp_path / "labels.csv").write_text(rows("file,label,split", line))
        assert load(tmp_path).parts.tolist() == ["train"] * 9 + ["test"] * 3, words


# Several tables, and tables beside class folders


def test_tables_of_a_competition(tmp_path):
    flat(tmp_path / "train")
    flat(tmp_path / "test", 4, seed=100)
    (tmp_path / "train.csv").write_text(rows("id,breed", lambda i, x: f"{i:03d},{x}"))
    (tmp_path / "test.csv").write_text(rows("id", lambda i, _: f"{i:03d}", 4))
    (tmp_path / "sample_submission.csv").write_text(rows("id,breed", lambda i, _: f"{i:03d},a", 4))
    got = load(tmp_path)
    assert_labelled(got.take(got.labelled))
    assert Counter(zip(got.parts, got.labelled, strict=True)) == {("train", True): COUNT, ("test", False): 4}
    assert "sample_submission.csv was not used: it is called like answers to be handed in" in said(got)
    assert "test.csv was not used: no column label; the columns are 'id'" in said(got)
    made = split(got)
    assert got.labelled[made.test].all() and not set(made.train) & set(made.test)


def test_a_table_for_each_part_over_one_folder(tmp_path):
    flat(tmp_path / "images")
    for part, numbers in (("train", range(9)), ("val", range(9, 12))):
        lines = "".join(f"{i:03d}.png,{'abc'[i % 3]}\n" for i in numbers)
        (tmp_path / f"{part}.csv").write_text("file,label\n" + lines)
    got = load(tmp_path)
    assert_labelled(got)
    assert got.parts.tolist() == ["train"] * 9 + ["val"] * 3


def test_tables_that_contradict_each_other_are_refused(tmp_path):
    flat(tmp_path)
    for name, turn in (("one.csv", 0), ("two.csv", 1)):
        (tmp_path / name).write_text(rows("file,label", lambda i, _, turn=turn: f"{i:03d}.png,{'abc'[(i + turn) % 3]}"))
    with pytest.raises(DataError, match=r"one.csv and two.csv in .* label 000.png as 'a' and as 'b'") as caught:
        load(tmp_path)
    for name in ("one", "two"):
        assert f"sparring data {tmp_path} --table {tmp_path}/{name}.csv" in str(caught.value)
    assert_labelled(load(tmp_path, table=tmp_path / "one.csv"))


def test_a_table_that_names_the_classes(tmp_path):
    for wrapped, head in (("", "ClassId,Name"), ("images", "ClassId,Name"), ("", "id,name"), ("", "label,class")):
        top = tmp_path / f"signs{wrapped}{head}"
        class_folders(top / wrapped, classes=("00", "01", "02"))
        (top / "labels.csv").write_text(f"{head}\n0,stop\n1,turn\n2,yield\n3,never\n")
        got = load(top)
        assert got.classes == ("stop", "turn", "yield") and len(got) == 12 and (got.labels >= 0).all()
        assert "labels.csv names the classes, and no files: the names are used" in said(got)
        assert load(top, table="none").classes == ("00", "01", "02")


def test_a_table_that_names_other_classes_is_mentioned(tmp_path):
    class_folders(tmp_path, classes=("0", "1", "2"))
    for text in ("ClassId,Name\n0,stop\n1,turn\n", "ClassId,Name\n0,stop\n1,stop\n2,turn\n", "a,b\n1,2\n"):
        (tmp_path / "labels.csv").write_text(text)
        got = load(tmp_path)
        assert got.classes == ("0", "1", "2") and "labels.csv" in said(got)


def test_tables_beside_class_folders(tmp_path):
    class_folders(tmp_path)
    lines = [(f"{c}/{i}.png", c, i) for c in ("cat", "dog") for i in range(4)]
    table = tmp_path / "metadata.csv"
    table.write_text("file_name,text\n" + "".join(f"{path},a {c} {i}\n" for path, c, i in lines))
    got = load(tmp_path)
    assert got.classes == ("cat", "dog")
    assert "metadata.csv was not used: no column label; the columns are 'file_name', 'text'" in said(got)
    table.write_text(
        "file_name,label,split\n" + "".join(f"{p},{c[0]},{'test' if i > 2 else 'train'}\n" for p, c, i in lines)
    )
    got = load(tmp_path)
    assert got.classes == ("cat", "dog") and (got.parts == "test").sum() == 2
    assert "metadata.csv divides the images as the folders do: the folders name the classes" in said(got)
    table.write_text("file_name,label\n" + "".join(f"{path},{'uv'[i % 2]}\n" for path, _, i in lines))
    with pytest.raises(DataError, match="metadata.csv labels the images differently: which is meant") as caught:
        load(tmp_path)
    assert f"--table {table}" in str(caught.value) and "--table none" in str(caught.value)
    assert load(tmp_path, table=table).classes == ("u", "v")
    assert load(tmp_path, table="none").classes == ("cat", "dog")


def test_a_table_that_was_not_used_is_named_where_labels_are_missing(tmp_path):
    flat(tmp_path)
    (tmp_path / "metadata.csv").write_text(rows("file_name,text", lambda i, _: f"{i:03d}.png,text {i}"))
    got = load(tmp_path)
    assert got.classes == () and got.notes.unread[0][0].endswith("metadata.csv")
    with pytest.raises(DataError, match=r"holds no labelled image; .*metadata.csv was not used: no column label"):
        split(got)


@pytest.mark.parametrize("name", ["labels.txt", "train.xlsx", "annotations.mat"])
def test_a_table_of_another_kind_is_named(name, tmp_path):
    flat(tmp_path)
    (tmp_path / name).write_bytes(b"000.png a")
    (tmp_path / "readme.txt").write_text("hello")
    got = load(tmp_path)
    assert f"{name} was not used: tables are read from .csv, .tsv, .jsonl files: save it so" in said(got)
    assert len(got.notes.unread) == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1, 2]",
        '{"a": [1]}',
        "\x00",
        '[{"a": 1}]',
        "null",
        '{"labels": {"x": "y"}}',
        '{"samples": [1, {"filepath": 3}]}',
        '[{"data": {"image": "a"}, "annotations": 5}]',
        '[{"data": 1, "annotations": [{"result": [{"value": 3}]}]}]',
        '{"images": [1], "annotations": [{"image_id": []}], "categories": []}',
    ],
)
def test_json_that_is_no_table_does_no_harm(text, tmp_path):
    class_folders(tmp_path)
    (tmp_path / "annotations.json").write_text(text)
    assert load(tmp_path).classes == ("cat", "dog")


# What annotation tools export


def test_label_studio(tmp_path):
    folder = flat(tmp_path / "images").parent

    def task(i: int, *choices: str) -> dict:
        result = [{"type": "choices", "value": {"choices": list(choices)}}]
        return {"id": i, "data": {"image": f"/data/upload/1/3f2a1b4c-{i:03d}.png"}, "annotations": [{"result": result}]}

    tasks = [task(i, "abc"[i % 3]) for i in range(COUNT)]
    (folder / "project-1-at-2026-11-27.json").write_text(json.dumps(tasks))
    assert_labelled(load(folder))
    tasks[4]["annotations"][0]["was_cancelled"] = True
    (folder / "project-1-at-2026-11-27.json").write_text(json.dumps(tasks))
    assert load(folder).labels.tolist()[4] == -1
    small = [{"image": f"/data/local-files/?d=images/{i:03d}.png", "id": i, "choice": "abc"[i % 3], "annotator": 1}
             for i in range(COUNT)]  # fmt: skip
    (folder / "project-1-at-2026-11-27.json").write_text(json.dumps(small))
    assert_labelled(load(folder))
    (folder / "project-1-at-2026-11-27.json").write_text(json.dumps([*tasks[:-1], task(11, "a", "b")]))
    with pytest.raises(DataError, match="several classes for one image"):
        load(folder)


def test_fiftyone(tmp_path):
    folder = flat(tmp_path / "data").parent
    labels = {f"{i:03d}": {"label": "abc"[i % 3]} if i < 4 else i % 3 for i in range(COUNT)}
    (folder / "labels.json").write_text(json.dumps({"classes": ["a", "b", "c"], "labels": labels}))
    assert_labelled(load(folder))
    (folder / "labels.json").unlink()

    def classified(label: str) -> dict:
        return {"_cls": "Classification", "label": label}

    samples = [
        {
            "filepath": f"data/{i:03d}.png",
            "tags": ["train" if i < 9 else "test"],
            "ground_truth": classified("abc"[i % 3]),
            "model": classified("abc"[i % 2]),
        }
        for i in range(COUNT)
    ]
    (folder / "samples.json").write_text(json.dumps({"samples": samples}))
    got = load(folder)
    assert_labelled(got)
    assert (got.parts == "test").sum() == 3


def test_coco_with_one_class_an_image(tmp_path):
    flat(tmp_path)
    coco = {
        "images": [{"id": i, "file_name": f"{i:03d}.png"} for i in range(COUNT)],
        "categories": [{"id": k, "name": name} for k, name in enumerate("abc")],
        "annotations": [{"image_id": i, "category_id": i % 3} for i in range(COUNT) for _ in range(2)],
    }
    (tmp_path / "_annotations.coco.json").write_text(json.dumps(coco))
    assert_labelled(load(tmp_path))
    coco["annotations"].append({"image_id": 0, "category_id": 1})
    (tmp_path / "_annotations.coco.json").write_text(json.dumps(coco))
    with pytest.raises(DataError, match="names objects of several classes for 1 images"):
        load(tmp_path)


def test_lines_of_json_that_are_none():
    for text, says in (('{"a": 1}\n{', "line 2: not JSON"), ("[1]", "line 1: not an object")):
        with pytest.raises(DataError, match=says):
            raw_table(text.encode(), "x.jsonl", ".jsonl")


# On the command line


def test_commands_take_the_column(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flat(Path("photos"))
    Path("photos/data.csv").write_text(rows("file,grade,site", lambda i, x: f"{i:03d}.png,{i % 2},{x}"))
    assert main(["data", "photos"]) == 3
    assert "--label grade" in capsys.readouterr().err
    assert main(["data", "photos", "--label", "site", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["a", "b", "c"]
    for command in (["fit", "photos", "--method", "logistic"], ["train", "photos"], ["compare", "photos"]):
        assert main([*command, "--label", "nothing"]) == 3, command
        assert "several columns" in capsys.readouterr().err


def test_the_part_of_images_that_were_chosen_for_labelling(tmp_path):
    flat(tmp_path)
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    rows = [f"{name},{'ab'[i % 2]},{('chosen', 'Chosen', 'test', '')[i % 4]}" for i, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,part", *rows]))
    got = load(tmp_path)
    assert Counter(got.parts.tolist())["chosen"] == sum(i % 4 < 2 for i in range(len(names)))
    assert got.counts["chosen"].classes["a"] > 0 and "no part" in got.counts
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,part", *rows]).replace("Chosen", "chosn"))
    with pytest.raises(DataError, match="part 'chosn'"):
        load(tmp_path)
