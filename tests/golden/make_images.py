#!/usr/bin/env python3
"""Writes tests/golden/data/images/: pictures of all formats and what Pillow and transformers make of them.

  make_images.py              writes the pictures and goldens.json
  make_images.py --measure    also compares the two implementations that transformers has of each processor (needs torchvision)

Needs transformers 5.23, Pillow 13, numpy. Pixels are those of transformers' load_image (Pillow, EXIF orientation, convert("RGB"));
patches are those of the PIL processors. One exception: of 16-bit grey the upper 8 bits are the truth here, where Pillow clips at 255.
"""

import argparse
import hashlib
import io
import json
import struct
import types
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.image_utils import load_image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava.processing_llava import LlavaProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

OUT = Path(__file__).parent / "data" / "images"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types of PNG
SAMPLES = 16


def scene(width, height, channels, seed):
    """Edges, a gradient, texture: what a resize or a chroma filter could get wrong, and small when compressed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        a, b, phase = rng.uniform(-0.4, 0.4, 3)
        plane = 127 + 80 * np.sin(a * x + b * y + 6 * phase) + 40 * (x > width * rng.uniform(0.2, 0.8))
        plane -= 60 * (y > height * rng.uniform(0.2, 0.8))
        planes.append(plane)
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


# --- PNG kinds that Pillow does not write


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(samples, depth):
    """Rows of [height, width, channels] samples, each after the filter byte 0."""
    if samples.shape[0] == 0 or samples.shape[1] == 0:
        return b""
    flat = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        rows = flat.astype(">u2").view(np.uint8)
    elif depth == 8:
        rows = flat.astype(np.uint8)
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(flat.shape[0], -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def png(samples, depth, kind, interlaced=False, extra=()):
    height, width = samples.shape[:2]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b"".join(packed_rows(samples[y::dy, x::dx], depth) for x, y, dx, dy in passes)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    body = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(raw, 9)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def wide_samples(width, height, channels, seed):
    low = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint16)
    return scene(width, height, channels, seed).astype(np.uint16) * 256 + low


def palette_png(width, height, depth, seed, transparent=False, interlaced=False):
    colours = 2**depth
    table = np.random.default_rng(seed).integers(0, 256, (colours, 3), dtype=np.uint8)
    indices = scene(width, height, 1, seed).astype(np.uint16) * colours // 256
    extra = [chunk(b"PLTE", table.tobytes())]
    if transparent:
        extra.append(chunk(b"tRNS", bytes(range(0, colours))))
    return png(indices, depth, PALETTE, interlaced, extra)


# --- the pictures


def saved(array, form, mode=None, **options):
    out = io.BytesIO()
    Image.fromarray(array.squeeze(), mode).save(out, form, **options) if mode else Image.fromarray(array.squeeze()).save(
        out, form, **options
    )
    return out.getvalue()


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def cmyk_jpeg(width, height, seed, ycck=False):
    out = io.BytesIO()
    Image.frombytes("CMYK", (width, height), scene(width, height, 4, seed).tobytes()).save(out, "jpeg", quality=90)
    data = bytearray(out.getvalue())
    if ycck:  # the same coefficients, said to be YCCK: the last byte of Adobe's marker
        at = data.index(b"Adobe") + 11
        data[at] = 2
    return bytes(data)


def pictures():
    """Name to bytes of every golden picture."""
    made = {}
    for name, (width, height), options in (
        ("full-chroma", (131, 97), {"subsampling": 0, "quality": 92}),
        ("half-chroma", (127, 61), {"subsampling": 1, "quality": 80}),
        ("quarter-chroma", (203, 149), {"subsampling": 2, "quality": 75}),
        ("progressive", (157, 211), {"progressive": True, "quality": 85}),
        ("one-pixel", (1, 1), {}),
        ("thin", (7, 301), {"quality": 60}),
        ("restarts", (99, 45), {"restart_marker_rows": 1}),
    ):
        made[f"{name}.jpg"] = saved(scene(width, height, 3, len(made)), "jpeg", **options)
    made["grey.jpg"] = saved(scene(83, 113, 1, 20), "jpeg")
    made["cmyk.jpg"] = cmyk_jpeg(75, 51, 21)
    made["ycck.jpg"] = cmyk_jpeg(61, 77, 22, ycck=True)
    for orientation in range(1, 9):
        made[f"orientation-{orientation}.jpg"] = saved(scene(41, 23, 3, 30), "jpeg", exif=exif(orientation), quality=90)
    made["colour.png"] = saved(scene(173, 91, 3, 40), "png")
    made["alpha.png"] = saved(scene(67, 89, 4, 41), "png")
    made["grey.png"] = saved(scene(59, 31, 1, 42), "png")
    made["grey-alpha.png"] = png(scene(33, 47, 2, 43), 8, GREY_ALPHA)
    made["orientation.png"] = saved(scene(29, 17, 3, 44), "png", exif=exif(6))
    made["deep.png"] = png(wide_samples(39, 27, 3, 45), 16, RGB)
    made["deep-alpha.png"] = png(wide_samples(27, 35, 4, 46), 16, RGBA, interlaced=True)
    made["deep-grey.png"] = png(wide_samples(31, 43, 1, 47), 16, GREY)
    made["interlaced.png"] = png(scene(87, 65, 3, 48), 8, RGB, interlaced=True)
    made["interlaced-small.png"] = png(scene(3, 2, 3, 49), 8, RGB, interlaced=True)
    for depth in (1, 2, 4):
        made[f"grey-{depth}-bit.png"] = png(scene(37, 21, 1, 50 + depth).astype(np.uint16) >> (8 - depth), depth, GREY)
        made[f"palette-{depth}-bit.png"] = palette_png(37, 21, depth, 60 + depth)
    made["palette.png"] = palette_png(77, 53, 8, 70)
    made["palette-transparent.png"] = palette_png(45, 63, 8, 71, transparent=True)
    made["palette-interlaced.png"] = palette_png(21, 19, 4, 72, interlaced=True)
    made["colour-key.png"] = png(scene(25, 15, 3, 73), 8, RGB, extra=[chunk(b"tRNS", b"\0\1\0\2\0\3")])
    made["lossy.webp"] = saved(scene(151, 101, 3, 80), "webp", quality=80)
    made["lossless.webp"] = saved(scene(93, 71, 3, 81), "webp", lossless=True)
    made["alpha.webp"] = saved(scene(55, 73, 4, 82), "webp", quality=70)
    made["lossless-alpha.webp"] = saved(scene(35, 49, 4, 83), "webp", lossless=True, exact=True)
    made["orientation.webp"] = saved(scene(47, 25, 3, 84), "webp", quality=90, exif=exif(8))
    return made


def truth(name, data):
    """[height, width, 3] bytes."""
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I;16"):
        upper = (np.array(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(upper[..., None], 3, axis=-1)
    return np.array(load_image(image))


# --- the processors


CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


def qwen(model_type, patch, merge=2, temporal=2, **settings):
    vision = {"patch_size": patch, "spatial_merge_size": merge, "temporal_patch_size": temporal}
    file = {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": patch, "merge_size": merge}
    file |= {"temporal_patch_size": temporal, **settings}
    return Qwen2VLImageProcessorPil, {"model_type": model_type, "vision_config": vision}, file


def idefics3(model_type, patch, tile, longest, scale, **settings):
    config = {"model_type": model_type, "scale_factor": scale, "vision_config": {"patch_size": patch, "image_size": tile}}
    name = "SmolVLM" if model_type == "smolvlm" else "Idefics3"
    file = {"image_processor_type": f"{name}ImageProcessor", "size": {"longest_edge": longest}}
    file |= {"max_image_size": {"longest_edge": tile}, **settings}
    return (SmolVLMImageProcessorPil if name == "SmolVLM" else Idefics3ImageProcessorPil), config, file


def llava(patch, kind="CLIP", strategy="default", **settings):
    config = {"model_type": "llava", "vision_feature_select_strategy": strategy, "vision_config": {"patch_size": patch}}
    classes = {"CLIP": CLIPImageProcessorPil, "Llava": LlavaImageProcessorPil}
    return classes[kind], config, {"image_processor_type": f"{kind}ImageProcessor", **settings}


def processors():
    """Name to (class, config.json, preprocessor_config.json)."""
    square = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
    return {
        "qwen2-vl": qwen("qwen2_vl", 14, min_pixels=3136, max_pixels=50176, **CLIP),
        "qwen2-vl-small": qwen("qwen2_vl", 8, size={"shortest_edge": 1024, "longest_edge": 4096}, **CLIP),
        "qwen2.5-vl": qwen("qwen2_5_vl", 14, size={"shortest_edge": 3136, "longest_edge": 12845056}),
        "qwen-no-merge": qwen("qwen2_vl", 6, merge=1, temporal=1, min_pixels=400, max_pixels=2500, **HALF),
        "smolvlm": idefics3("smolvlm", 16, 64, 256, 4, **HALF),
        "idefics3": idefics3("idefics3", 14, 56, 140, 2, resample=1, **HALF),
        "idefics3-whole": idefics3("idefics3", 8, 48, 96, 3, do_image_splitting=False, resample=3),
        "smolvlm-one-tile": idefics3("smolvlm", 8, 64, 64, 2, resample=2),
        "llava": llava(14, **square, **CLIP),
        "llava-full": llava(8, strategy="full", size=48, crop_size=40, resample=2),
        "llava-larger-crop": llava(8, size={"shortest_edge": 24}, crop_size={"height": 40, "width": 48}, **CLIP),
        "llava-square": llava(14, kind="Llava", do_pad=True, **square, **CLIP),
        "llava-exact": llava(16, size={"height": 64, "width": 48}, do_center_crop=False, rescale_factor=0.01, **HALF),
    }


def patches_of(values, patch):
    """[tiles, 3, h, w] to rows of (channel, y, x), tile by tile and row by row."""
    tiles, channels, height, width = values.shape
    high, wide = height // patch, width // patch
    cut = values[:, :, : high * patch, : wide * patch].reshape(tiles, channels, high, patch, wide, patch)
    return cut.transpose(0, 2, 4, 1, 3, 5).reshape(tiles * high * wide, -1)


def prepare(kind, config, file, pixels, kinds=None):
    """What the tower reads, and the prompt's text for the marker."""
    settings = {key: value for key, value in file.items() if key != "image_processor_type"}
    processor = (kinds or (lambda pil: pil))(kind)(**settings)
    options = {"return_row_col_info": True} if config["model_type"] in ("smolvlm", "idefics3") else {}
    out = processor([Image.fromarray(pixels)], return_tensors="np", **options)
    vision = config["vision_config"]
    if config["model_type"].startswith("qwen"):
        owner = types.SimpleNamespace(image_processor=processor, image_token="<|image_pad|>")
        text = Qwen2VLProcessor.replace_image_token(owner, out, 0)
        return out["pixel_values"], text, [int(n) for n in out["image_grid_thw"][0][1:]]
    if options:
        rows, columns = int(out["rows"][0][0]), int(out["cols"][0][0])
        tokens = (settings["max_image_size"]["longest_edge"] // vision["patch_size"] // config["scale_factor"]) ** 2
        text = get_image_prompt_string(rows, columns, tokens, "<fake_token_around_image>", "<image>", "<global-img>")
        return patches_of(out["pixel_values"][0], vision["patch_size"]), text, [rows, columns]
    owner = types.SimpleNamespace(
        patch_size=vision["patch_size"],
        num_additional_image_tokens=1,
        vision_feature_select_strategy=config["vision_feature_select_strategy"],
        image_token="<image>",
    )
    text = LlavaProcessor.replace_image_token(owner, out, 0)
    high, wide = (side // vision["patch_size"] for side in out["pixel_values"].shape[2:])
    return patches_of(out["pixel_values"], vision["patch_size"]), text, [high, wide]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def spread(count):
    return [count * (2 * i + 1) // (2 * SAMPLES) for i in range(SAMPLES)]


def resized(images):
    """Pillow's resize by itself: every filter, up, down, one side kept, and both orders of the two directions."""
    cases = []
    for name, width, height in (
        ("colour.png", 190, 35),
        ("interlaced.png", 70, 30),
        ("interlaced.png", 70, 31),
        ("thin.jpg", 5, 40),
        ("colour.png", 61, 200),
        ("colour.png", 173, 13),
        ("colour.png", 400, 91),
        ("interlaced.png", 2, 1),
        ("interlaced-small.png", 97, 55),
    ):
        image = Image.fromarray(images[name])
        for resample in (1, 2, 3, 4, 5):
            digest = sha256(np.array(image.resize((width, height), resample)).tobytes())
            cases.append({"image": name, "width": width, "height": height, "resample": resample, "sha256": digest})
    return cases


def goldens(files):
    images = {name: truth(name, data) for name, data in files.items()}
    result = {"images": [], "processors": [], "resized": resized(images)}
    for name, pixels in images.items():
        flat = pixels.ravel()
        sample = [int(flat[i]) for i in spread(flat.size)]
        size = {"name": name, "width": pixels.shape[1], "height": pixels.shape[0]}
        result["images"].append(size | {"sha256": sha256(pixels.tobytes()), "sample": sample})
    for name, (kind, config, file) in processors().items():
        entry = {"name": name, "config": config, "preprocessor_config": file, "prepared": []}
        for picture, pixels in images.items():
            patches, text, grid = prepare(kind, config, file, pixels)
            patches = np.ascontiguousarray(patches, dtype="<f4")
            flat = patches.ravel()
            entry["prepared"].append(
                {
                    "image": picture,
                    "rows": patches.shape[0],
                    "floats": patches.shape[1],
                    "grid": grid,
                    "marker_count": text.count("<image>") + text.count("<|image_pad|>"),
                    "text_sha256": sha256(text.encode()),
                    "sha256": sha256(patches.tobytes()),
                    "sample": [round(float(flat[i]), 5) for i in spread(flat.size)],
                }
            )
        result["processors"].append(entry)
    return result


def torchvision_class(pil):
    module = __import__(pil.__module__.replace("_pil", ""), fromlist=["x"])
    return getattr(module, pil.__name__[:-3])


def measure(files):
    """How far transformers' torchvision processors, its default where torchvision is installed, are from the PIL ones."""
    for name, (kind, config, file) in processors().items():
        most = total = count = 0
        std = np.mean(file.get("image_std", CLIP["image_std"]))
        for picture, data in files.items():
            pixels = truth(picture, data)
            ours, theirs = (prepare(kind, config, file, pixels, kinds)[0] for kinds in (None, torchvision_class))
            difference = np.abs(np.asarray(ours, dtype=np.float64) - theirs) * std
            most, total, count = max(most, difference.max()), total + difference.sum(), count + difference.size
        print(f"{name}: at most {most * 255:.2f}/255, {total / count:.2e} on average")


def main():
    parser = argparse.ArgumentParser(description="writes the goldens of core/vision")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    files = pictures()
    OUT.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (OUT / name).write_bytes(data)
    # 100 million black pixels, whole and valid.
    black = struct.pack(">IIBBBBB", 10000, 10000, 1, GREY, 0, 0, 0)
    rows = zlib.compress(bytes(10000 * (1 + 1250)), 9)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", black) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    (OUT / "100-megapixels.png").write_bytes(bomb)
    lines = json.dumps(goldens(files), indent=None, separators=(",", ":"))
    (OUT / "goldens.json").write_text(lines.replace('{"image":', '\n{"image":').replace('{"name":', '\n{"name":') + "\n")
    if options.measure:
        measure(files)


if __name__ == "__main__":
    main()
