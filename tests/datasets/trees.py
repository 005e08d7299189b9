"""The smallest data set of every layout with a table: two images with a mask each."""

from pathlib import Path

from tests.benchmark.data.corpus import draw, mark, table

NAMES = ("ISIC_0000001", "ISIC_0000002")


def dermxdb(root: Path) -> Path:
    for name in NAMES:
        draw(root / "images" / f"{name}.jpeg", format="JPEG")
        mark(root / "masks" / "masks" / f"derm1_{name}_00000.png")
    table(root, "current_filename;diagnosis\n" + "".join(f"{name};Acne\n" for name in NAMES), "metadata.csv")
    masks = "".join(f"derm1_{name},derm1_{name}_00000,Scale\n" for name in NAMES)
    table(root / "masks", "image_id,mask_id,class_name\n" + masks, "instance_mask_annotations.csv")
    return root / "metadata.csv"


def folder(root: Path) -> Path:
    for name in NAMES:
        draw(root / "images" / "mole" / f"{name}.jpg")
        mark(root / "masks" / f"{name}.png")
    table(root, "image,group\n" + "".join(f"{name},g\n" for name in NAMES))
    return root / "images.csv"


def glas(root: Path) -> Path:
    for name in NAMES:
        draw(root / f"{name}.bmp")
        mark(root / f"{name}_anno.bmp")
    lines = "".join(f"{name},p1, benign\n" for name in NAMES)
    table(root, "name,patient ID, grade (GlaS)\n" + lines, "Grade.csv")
    return root / "Grade.csv"


def ham10000(root: Path) -> Path:
    for name in NAMES:
        draw(root / "HAM10000_images" / f"{name}.jpg")
        mark(root / "HAM10000_segmentations_lesion_tschandl" / f"{name}_segmentation.png")
    table(root, "image_id,lesion_id,dx\n" + "".join(f"{name},g,nv\n" for name in NAMES), "HAM10000_metadata.csv")
    return root / "HAM10000_metadata.csv"


def isic2016(root: Path) -> Path:
    for name in NAMES:
        draw(root / "ISBI2016_ISIC_Part1_Training_Data" / f"{name}.jpg")
        mark(root / "ISBI2016_ISIC_Part1_Training_GroundTruth" / f"{name}_Segmentation.png")
    path = root / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv"
    table(root, "".join(f"{name},benign\n" for name in NAMES), path.name)
    return path


def isic2017(root: Path) -> Path:
    for name in NAMES:
        draw(root / "ISIC-2017_Training_Data" / f"{name}.jpg")
        mark(root / "ISIC-2017_Training_Part1_GroundTruth" / f"{name}_segmentation.png")
    path = root / "ISIC-2017_Training_Part3_GroundTruth.csv"
    table(root, "image_id,melanoma,seborrheic_keratosis\n" + "".join(f"{name},1.0,0.0\n" for name in NAMES), path.name)
    return path


def isic2018(root: Path) -> Path:
    for name in NAMES:
        draw(root / "ISIC2018_Task1-2_Training_Input" / f"{name}.jpg")
        mark(root / "ISIC2018_Task1_Training_GroundTruth" / f"{name}_segmentation.png")
    table(root, "image,diagnosis,group\n" + "".join(f"{name},mole,g\n" for name in NAMES), "diagnosis.csv")
    return root / "diagnosis.csv"


def oxford_pet(root: Path) -> Path:
    for name in NAMES:
        draw(root / "images" / f"{name}.jpg")
        mark(root / "annotations" / "trimaps" / f"{name}.png")
    table(root / "annotations", f"{NAMES[0]} 1 1 1\n", "trainval.txt")
    table(root / "annotations", f"{NAMES[1]} 1 1 1\n", "test.txt")
    return root / "annotations" / "test.txt"


def ph2(root: Path) -> Path:
    for name in ("IMD001", "IMD002"):
        draw(root / "PH2 Dataset images" / name / f"{name}_Dermoscopic_Image" / f"{name}.bmp")
        mark(root / "PH2 Dataset images" / name / f"{name}_lesion" / f"{name}_lesion.bmp")
    table(root, "|| IMD001 || || 0 ||\n|| IMD002 || || 2 ||\n", "PH2_dataset.txt")
    return root / "PH2_dataset.txt"


WITH_TABLE = {
    "dermxdb": dermxdb,
    "folder": folder,
    "glas": glas,
    "ham10000": ham10000,
    "isic2016": isic2016,
    "isic2017": isic2017,
    "isic2018": isic2018,
    "oxford-pet": oxford_pet,
}
ALL = WITH_TABLE | {"ph2": ph2}
