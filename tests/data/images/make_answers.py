# SPDX-License-Identifier: Apache-2.0
"""Rebuilds this folder: pictures chosen from the golden vectors, small drawn ones, and answers.json.

    python make_answers.py GOLDEN_FOLDER        (needs pillow 13 and numpy; GOLDEN_FOLDER holds pytorch/ and mindspore/)

Answers of the golden pictures are copied from there. Those of the drawn pictures, and of the colour and movement
operations, are computed here with Pillow.
"""
import hashlib, json, os, shutil, sys
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

HERE = os.path.dirname(os.path.abspath(__file__))
PYTORCH = ["photo0.jpg", "progressive.jpg", "exif6.jpg", "gray.jpg", "palette.png", "lossy.webp", "tiny.jpg"]
MINDSPORE = ["grocery4.jpg", "made_tiny_20x30.jpg", "made_cmyk_noadobe_120x80.jpg", "made_gray16_100x140.png",
             "made_gray8_150x150.png", "made_palette_200x260.png"]
REFUSED = ["made_truncated_200x150.jpg", "made_gif_80x60.gif", "made_webp_160x120.webp"]


def sha(pixels):
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def prepare(im):
    """Shorter side 256, longer side rounded down, central 224 with halves to even."""
    w, h = im.size
    w, h = (256, 256 * h // w) if w <= h else (256 * w // h, 256)
    left, top = round((w - 224) / 2), round((h - 224) / 2)
    return im.resize((w, h), Image.BILINEAR).crop((left, top, left + 224, top + 224))


def drawn():
    r = np.random.default_rng(1)
    y, x = np.mgrid[0:40, 0:52]
    a = np.stack([x * 4.5, y * 6, 128 + 90 * np.sin(x / 4 + y / 3)], -1) + r.normal(0, 5, (40, 52, 3))
    a[8:20, 10:30] = (220, 30, 60)
    im = Image.fromarray(a.clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 7
    im.convert("CMYK").save("drawn-cmyk.jpg", quality=80)
    im.save("drawn-exif7.png", exif=exif, optimize=True)
    im.save("drawn-exif7.webp", exif=exif, quality=70)
    im.save("drawn-lossless.webp", lossless=True)
    im.convert("RGBA").save("drawn-rgba.png", optimize=True)
    im.convert("1").save("drawn-1bit.png", optimize=True)
    im.quantize(13).save("drawn-4bit.png", transparency=2, optimize=True)
    im.convert("LA").save("drawn-gray-alpha.png", optimize=True)
    return ["drawn-cmyk.jpg", "drawn-exif7.png", "drawn-exif7.webp", "drawn-lossless.webp", "drawn-rgba.png",
            "drawn-1bit.png", "drawn-4bit.png", "drawn-gray-alpha.png"]


def operations(im):
    """Name, value (as in RandAugment: 1 + value is the factor of an enhancement), result."""
    def affine(*m):
        return im.transform(im.size, Image.AFFINE, m, Image.NEAREST, fillcolor=(0, 0, 0))
    h, s, v = im.convert("HSV").split()
    turned = Image.merge("HSV", (Image.fromarray(np.asarray(h) + np.uint8(37)), s, v)).convert("RGB")
    return [("shear-x", 0.09, affine(1, 0.09, 0, 0, 1, 0)), ("shear-y", -0.09, affine(1, 0, 0, -0.09, 1, 0)),
            ("translate-x", 30, affine(1, 0, -30, 0, 1, 0)), ("translate-y", -30, affine(1, 0, 0, 0, 1, 30)),
            ("rotate", 9, im.rotate(9, Image.NEAREST)), ("brightness", 0.27, ImageEnhance.Brightness(im).enhance(1.27)),
            ("color", -0.27, ImageEnhance.Color(im).enhance(0.73)),
            ("contrast", 0.27, ImageEnhance.Contrast(im).enhance(1.27)),
            ("sharpness", -0.27, ImageEnhance.Sharpness(im).enhance(0.73)), ("posterize", 7, ImageOps.posterize(im, 7)),
            ("solarize", 178.5, ImageOps.solarize(im, 178.5)), ("autocontrast", 0, ImageOps.autocontrast(im)),
            ("equalize", 0, ImageOps.equalize(im)), ("hue", 37, turned)]


def main():
    golden = sys.argv[1]
    os.chdir(HERE)
    out = dict(genet=[], mindspore=[], refused=REFUSED, operations=[])
    known = {os.path.basename(e["source"]): e for e in json.load(open(f"{golden}/pytorch/images.json"))["images"]}
    for name in PYTORCH:
        shutil.copyfile(f"{golden}/pytorch/image/source/{name}", name)
        out["genet"].append(dict(file=name, decoded_sha256=known[name]["decoded_sha256"],
                                 prepared_sha256=known[name]["prepared_sha256"]))
    for name in drawn():
        im = ImageOps.exif_transpose(Image.open(name)).convert("RGB")
        out["genet"].append(dict(file=name, decoded_sha256=sha(im), prepared_sha256=sha(prepare(im))))
    known = json.load(open(f"{golden}/mindspore/images.json"))["images"]
    known = known if isinstance(known, dict) else {e["source"]: e for e in known}
    for name in MINDSPORE + REFUSED:
        shutil.copyfile(f"{golden}/mindspore/images/{name}", name)
        if name in MINDSPORE:
            out["mindspore"].append(dict(file=name, decoded_sha256=known[name]["decode"]["sha256"],
                                         prepared_sha256=known[name]["resize_crop"]["sha256"]))
    photo = prepare(Image.open("photo0.jpg").convert("RGB"))
    for name, value, result in operations(photo):
        out["operations"].append(dict(name=name, value=value, sha256=sha(result)))
    for f in os.listdir("."):
        os.chmod(f, 0o644)
    with open("answers.json", "w") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
