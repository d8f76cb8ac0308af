"""What names mean: which folders are parts, pools and masks, which columns hold files and labels. One table for all.

A name is read by its words: "TrainImages", "train_images" and "train-images2017" are train and images. Case, accents,
digits and what stands between words do not count. To add a spelling, add a word here and an example to the test.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

LONGEST, LONGEST_WORD = 255, 60  # characters of a name, as a file system has it, and of words written together


def _folded(text: str) -> str:
    """Return the text without case and accents."""
    pieces = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFC", "".join(c for c in pieces if not unicodedata.combining(c)))


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(_folded(text).split())


PART_WORDS = {
    "train": _vocabulary(
        "train training trains trn tr trainings learning "
        "lernen entraînement entrainement apprentissage entrenamiento entreno aprendizaje treino treinamento "
        "addestramento allenamento обучение обучающая обучающий обучающие тренировка тренировочная тренировочный "
        "тренировочные 训练 訓練 学習 トレーニング 훈련 학습"
    ),
    "test": _vocabulary(
        "test testing tests tst holdout heldout prüfung prueba pruebas teste testes prova тест тестовая тестовый "
        "тестовые тестирование 测试 測試 テスト 테스트 시험"
    ),
    "val": _vocabulary(
        "val valid validation validate vali validierung validierungs validación validacion validação validacao "
        "validazione валидация валидационная валидационный проверка 验证 驗證 検証 검증"
    ),
    "dev": _vocabulary(
        "dev development devel entwicklung développement desarrollo desenvolvimento sviluppo разработка"
    ),
    "eval": _vocabulary(
        "eval evaluation évaluation auswertung evaluierung evaluación avaliação valutazione оценка 評価 평가"
    ),
}
# words that say that a folder holds images, and nothing about what is on them
IMAGE_WORDS = _vocabulary(
    "data daten datos dados dati данные 数据 データ image images img imgs picture pictures pics photo photos jpg jpeg "
    "jpegs png pngs bild bilder foto fotos imagenes imagen imagens imagem "
    "immagini изображения изображение фото снимки 图片 图像 圖片 画像 이미지"
)
COMPANIONS = IMAGE_WORDS | _vocabulary(
    "set sets data dataset datasets split folder folders dir sample samples part subset file files x seg segmented "
    "crops cropped resized raw all daten datensatz satz ordner données jeu ensemble de d échantillons datos conjunto "
    "muestras dados amostras dati insieme di campioni данные выборка набор "
    "集 数据 数据集 資料 样本 用 データ セット 데이터 세트"
)
_PIECES = COMPANIONS.union(*PART_WORDS.values())
# names of folders whose images have no labels: beginnings of one or more words
POOL_BEGINNINGS = tuple(
    _vocabulary(
        "unlabel nolabel notlabel nonlabel withoutlabel unsupervis unannotated notannotated noannotation "
        "unbeschriftet unetikettiert ungelabelt unannotiert ohnelabel ohneetikett ohnebeschriftung nichtgelabelt "
        "nonétiqueté sansétiquette sanslabel nonannoté nonlabellisé "
        "sinetiqueta noetiquetad sinanotar noanotad nosupervisad "
        "semrótulo semrotulo nãorotulad semetiqueta nãoetiquetad semlabel nãosupervisionad "
        "nonetichettat senzaetichett nonannotat nonsupervision "
        "неразмечен безметок безразметки безметки "
        "未标注 未标记 无标签 无标注 未標註 無標籤 未ラベル ラベルなし ラベル無 라벨없"
    )
)
POOL_WORDS = _vocabulary("unsup unlab pred predict inference")  # whole words that say the same
# names of folders that may be a pool and may be a class
DOUBTFUL_POOLS = _vocabulary(
    "extra extras additional unsorted unclassified uncategorized uncategorised tolabel zusätzlich weitere "
    "unsortiert supplémentaire supplémentaires nontrié adicional adicionales adicionais sinclasificar aggiuntivi "
    "дополнительно дополнительные несортированные 额外 未分类 追加"
)
MASK_WORDS = _vocabulary(
    "mask masks msk seg segm segs segmentation segmentations gt groundtruth label labels lbl annotation annotations "
    "annot matte trimap maske masken masque masques máscara máscaras maschera maschere маска маски "
    "掩码 掩膜 マスク 마스크"
)
_MASK_ENDING = re.compile(r"^(?P<stem>.+?)[-_. ]+(?P<word>ground[-_ ]?truth|[^\W\d_]+)(?:[-_. ]*\d+)?$")
TABLE_WORDS = _vocabulary(
    "label labels metadata meta classes class annotation annotations ground groundtruth truth target targets index "
    "beschriftung beschriftungen etiketten étiquettes etiquetas rótulos rotulos etichette метки разметка 标签 ラベル"
).union(*PART_WORDS.values())
GUESSES = _vocabulary("submission submissions predictions prediction sample_submission result results")

FILE_COLUMNS = tuple(
    "file filename filepath path image img imagename imagepath imagefile imagefilename imgname imgpath imagefilepath "
    "filepaths filenames images imageid imgid picture photo idcode fname name id "
    "datei dateiname bild bildname pfad fichier nomfichier nomdufichier chemin archivo nombrearchivo imagen ruta "
    "arquivo nomearquivo imagem caminho immagine nomefile percorso файл имяфайла изображение путь "
    "文件 文件名 图片 图像 图片名 路径 ファイル ファイル名 画像 파일 이미지".split()
)
LABEL_COLUMNS = tuple(
    "label labels class classname category target groundtruth choice classid labelid categoryid labelname "
    "categoryname targetclass finding diagnosis species breed dx "
    "klasse kategorie beschriftung etikett classe étiquette etiquette catégorie categorie clase etiqueta categoria "
    "rótulo rotulo etichetta класс метка категория 标签 类别 分类 標籤 類別 ラベル クラス 라벨 클래스".split()
)
PART_COLUMNS = tuple(
    "part split subset set partition usage teil aufteilung partie ensemble parte conjunto partición часть выборка "
    "划分 分割".split()
)
# columns that say who or when, not what
BESIDE_COLUMNS = _vocabulary(
    "patient patientid subject subjectid user person annotator annotatorid date time timestamp leadtime createdat "
    "updatedat"
)


def words_of(name: str) -> list[str]:
    """Return the words of a name, folded: "seg_TrainImages2017" -> seg, train, images. Of a long text those it begins
    with."""
    short = unicodedata.normalize("NFKC", name[:LONGEST])
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", short)
    return re.findall(r"[^\W\d_]+", _folded(apart))


def column_word(name: str) -> str:
    """Return the name of a column as it is compared: "Image ID" and image_id are imageid."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", name).casefold())


def named_parts(names: Iterable[str]) -> dict[str, str]:
    """Return the names that are parts of a data set, with "train", "test" or "val".

    A name is a part where its words are one of the parts' and otherwise say only that there are images. Names that are
    the same but for the part are parts whatever else they say: asl_train, asl_test. dev is train where no other name
    is, else val; eval is test where no other name is, else val.
    """
    found: dict[str, str] = {}
    others: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        if pool_beginning(name):
            continue
        kinds, rest = _part_pieces(name)
        if kind := _one_part(kinds):
            if not rest - COMPANIONS:
                found[name] = kind
            else:
                others.setdefault(" ".join(sorted(rest)), []).append((name, kind))
    for alike in others.values():
        if len({kind for _, kind in alike}) == len(alike) > 1 and len(others) == 1:
            found |= dict(alike)
    there = set(found.values())
    settled = {"dev": "val" if "train" in there else "train", "eval": "val" if "test" in there else "test"}
    return {name: settled.get(kind, kind) for name, kind in found.items()}


def crossed_parts(names: Iterable[str]) -> list[str]:
    """Return the names that say a class and a part each: cat_train, cat_test, dog_train, dog_test."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        kinds, rest = _part_pieces(name)
        if (kind := _one_part(kinds)) and rest - COMPANIONS:
            found.setdefault(" ".join(sorted(rest)), []).append((name, kind))
    crossed = [alike for alike in found.values() if len({kind for _, kind in alike}) > 1]
    return [name for alike in crossed for name, _ in alike] if len(crossed) > 1 else []


def part_of(name: str) -> str:
    """Return the part that one name says, or ""."""
    return named_parts([name]).get(name, "") if not {"dev"} & _part_pieces(name)[0] else "val"


def _one_part(kinds: set[str]) -> str:
    """Return the part that several words say together: trainval is for training."""
    if kinds == {"train", "val"}:
        return "train"
    return next(iter(kinds)) if len(kinds) == 1 else ""


def _part_pieces(name: str) -> tuple[set[str], set[str]]:
    """Return the parts that the words of a name say, and the other words."""
    pieces = [piece for word in words_of(name) for piece in divided(word)]
    kinds = {part for part, words in PART_WORDS.items() for piece in pieces if piece in words}
    return kinds, {piece for piece in pieces if not any(piece in words for words in PART_WORDS.values())}


@lru_cache(1 << 12)  # or a word of n letters would be tried in 2^n ways
def divided(word: str) -> tuple[str, ...]:
    """Return a word as known words written together: trainset -> train, set. Else as it is."""
    if word in _PIECES or len(word) > LONGEST_WORD:
        return (word,)
    for end in range(len(word) - 1, 0, -1):
        first, rest = word[:end], divided(word[end:])
        if all(piece in _PIECES and (len(piece) > 2 or not piece.isascii()) for piece in (first, *rest)):
            return (first, *rest)
    return (word,)


def pool_beginning(name: str) -> bool:
    """Return whether a folder's name says that its images have no labels."""
    words = words_of(name)
    return bool(POOL_WORDS & set(words)) or any(
        "".join(words[i:]).startswith(POOL_BEGINNINGS) for i in range(len(words))
    )


def doubtful_pool(name: str) -> bool:
    """Return whether a folder may hold images without labels, or be a class of this name."""
    return "".join(word for word in words_of(name) if word not in COMPANIONS) in DOUBTFUL_POOLS


def containers(names: Sequence[str]) -> bool:
    """Return whether all these folders are called like what they hold, not like classes: images, HAM_images_part_1."""
    spoken = [words_of(name) for name in names]
    pieces = [{piece for word in words for piece in divided(word)} for words in spoken]
    if not all(pieces):
        return False
    alike = len(names) > 1 and len({" ".join(words) for words in spoken}) == 1
    return all(some & IMAGE_WORDS and (alike or some <= COMPANIONS) for some in pieces)


def mask_stem(stem: str) -> str | None:
    """Return the stem of the image that a mask of this stem belongs to: "benign (1)_mask_2" -> "benign (1)"."""
    found = _MASK_ENDING.match(stem) if len(stem) <= LONGEST else None
    return found["stem"] if found and "".join(words_of(found["word"])) in MASK_WORDS else None


def mask_folder(name: str) -> bool:
    """Return whether a folder is called like masks: masks, train_masks, SegmentationClass."""
    words = words_of(name)
    return bool(words) and bool({"".join(words), words[0], words[-1]} & (MASK_WORDS - {"label", "gt"}))


def table_name(file: str) -> bool:
    """Return whether a table is called like one that holds labels: _classes.csv, Train.csv, image_labels.tsv."""
    return bool(TABLE_WORDS & {piece for word in words_of(file.rpartition(".")[0]) for piece in divided(word)})


def guesses(file: str) -> bool:
    """Return whether a table is called like answers to be handed in: sample_submission.csv."""
    return bool(GUESSES & set(words_of(file.rpartition(".")[0])))
