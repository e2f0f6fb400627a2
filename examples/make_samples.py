"""Make the sample files: pictures and documents from real encoders.

The files are in the repository, so nobody has to run this script; it shows where they come from. It
needs Pillow, which the package does not: run `pip install pillow`, then
`python examples/make_samples.py`. The same version of Pillow always makes the same files.
"""

# ruff: noqa: S311  # random numbers for pictures need not be secure

from __future__ import annotations

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).parent / "files"
SKY = ((24, 32, 78), (236, 120, 92), (255, 214, 150))
RIDGES = ((88, 62, 110), (58, 44, 92), (34, 28, 66), (14, 14, 36))

Color = tuple[int, int, int]


def blend(colors: tuple[Color, ...], at: float) -> Color:
    """Return the color at a place from 0 to 1 along a row of colors."""
    place = min(max(at, 0.0), 1.0) * (len(colors) - 1)
    low = min(int(place), len(colors) - 2)
    part = place - low
    first, second = colors[low], colors[low + 1]
    mixed = [round(a + (b - a) * part) for a, b in zip(first, second, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def grain(picture: Image.Image, seed: int, strength: float) -> Image.Image:
    """Add the noise of a sensor to a picture, because that makes photographs large."""
    width, height = picture.size
    noise = Image.frombytes(
        "RGB", (width, height), random.Random(seed).randbytes(width * height * 3)
    )
    return Image.blend(picture, noise.filter(ImageFilter.GaussianBlur(0.6)), strength)


def sunrise(width: int, height: int, seed: int) -> Image.Image:
    """Draw mountain ridges in front of a morning sky."""
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for y in range(height):
        draw.line([(0, y), (width, y)], fill=blend(SKY, y / height * 1.3))
    center, radius = (width * 0.62, height * 0.52), height * 0.09
    draw.ellipse(
        [center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius],
        fill=(255, 238, 200),
    )
    picture = picture.filter(ImageFilter.GaussianBlur(height / 120))
    draw = ImageDraw.Draw(picture)
    chance = random.Random(seed)
    for number, color in enumerate(RIDGES):
        waves = [
            (chance.uniform(1, 4) * 2**k, chance.uniform(0, math.tau), 0.11 / 1.9**k)
            for k in range(7)
        ]
        base = 0.52 + 0.12 * number
        line = [
            (x, height * (base - sum(a * math.sin(f * x / width * 6 + p) for f, p, a in waves)))
            for x in range(width + 1)
        ]
        draw.polygon([*line, (width, height), (0, height)], fill=color)
    return picture


def chart(width: int, height: int) -> Image.Image:
    """Draw a bar chart, like one in a newsletter."""
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    title, small = ImageFont.load_default(34), ImageFont.load_default(20)
    draw.text((60, 30), "Visitors by month", fill=(40, 40, 60), font=title)
    values = (31, 42, 38, 57, 64, 80, 91, 88, 70, 52, 41, 47)
    left, bottom, step = 80, height - 80, (width - 140) / len(values)
    for mark in range(0, 101, 20):
        y = bottom - (bottom - 110) * mark / 100
        draw.line([(left, y), (width - 50, y)], fill=(225, 225, 232))
        draw.text((30, y - 11), str(mark), fill=(120, 120, 135), font=small)
    for month, value in enumerate(values):
        x, top = left + month * step + 8, bottom - (bottom - 110) * value / 100
        color = blend(((86, 120, 230), (240, 110, 120)), value / 100)
        draw.rounded_rectangle([x, top, x + step - 16, bottom], 8, fill=color)
        draw.text((x + step / 2 - 16, bottom + 12), "JFMAMJJASOND"[month], "black", small)
    return picture


def pulse(size: int) -> list[Image.Image]:
    """Draw the frames of a moving logo."""
    frames = []
    for number in range(24):
        frame = Image.new("RGB", (size, size), (250, 250, 252))
        draw = ImageDraw.Draw(frame)
        for ring in range(4):
            phase = (number / 24 + ring / 4) % 1.0
            radius = size * 0.46 * phase
            color = blend(((60, 90, 220), (250, 250, 252)), phase)
            box = [size / 2 - radius, size / 2 - radius, size / 2 + radius, size / 2 + radius]
            draw.ellipse(box, outline=color, width=max(2, size // 40))
        frames.append(frame)
    return frames


def page(number: int, pages: int) -> Image.Image:
    """Draw a page of a printed brochure."""
    sheet = Image.new("RGB", (1240, 1754), "white")
    sheet.paste(grain(sunrise(1080, 700, 40 + number), number, 0.05), (80, 90))
    draw = ImageDraw.Draw(sheet)
    head, body = ImageFont.load_default(60), ImageFont.load_default(28)
    draw.text((80, 850), f"Walks above the valley, {number}", fill=(30, 30, 50), font=head)
    words = (
        "ridge",
        "meadow",
        "path",
        "stone",
        "larch",
        "spring",
        "hut",
        "bridge",
        "morning",
        "snow",
    )
    chance = random.Random(number)
    for line in range(18):
        text = " ".join(chance.choices(words, k=10))
        draw.text((80, 960 + line * 40), text, fill=(70, 70, 85), font=body)
    draw.text((600, 1690), f"{number} / {pages}", fill=(120, 120, 135), font=body)
    return sheet


def main() -> None:
    """Write all files."""
    HERE.mkdir(exist_ok=True)
    (HERE / "brochure").mkdir(exist_ok=True)
    grain(sunrise(1600, 1067, 3), 3, 0.06).save(HERE / "sunrise.jpg", quality=88)
    grain(sunrise(3600, 2400, 8), 8, 0.14).save(HERE / "mountains.jpeg", quality=96)
    sunrise(900, 600, 21).save(HERE / "ridges.png", optimize=True)
    chart(1000, 640).save(HERE / "visitors.png", optimize=True)
    frames = pulse(240)
    frames[0].save(HERE / "logo.gif", save_all=True, append_images=frames[1:], duration=60, loop=0)
    sheets = [page(number, 4) for number in range(1, 5)]
    sheets[0].save(
        HERE / "brochure" / "walks.pdf",
        save_all=True,
        append_images=sheets[1:],
        resolution=150,
        title="Walks above the valley",
        creationDate=None,
        modDate=None,
    )


if __name__ == "__main__":
    main()
