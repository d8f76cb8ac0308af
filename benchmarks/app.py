"""How quick the page is: a folder of 100,000 images, keys, answers and a kill, many clients at once.

    python benchmarks/app.py [FOLDER] [--images 100000] [--keys 200] [--answers 1000]

FOLDER is made where it is not there: JPEG files of 32 x 32 pixels without labels. Needs Chromium and Playwright. Prints
the table of results/app.md.

first paint     from starting the command to all images in sight on the screen; "names listed" is how the first start
                waits for the listing of the files, the second shows those of the last time
key to next     from the key to the next picture being painted, while the background works
kill            answers that the page called saved, less those that are in the file after kill -9
clients         requests a second and the slowest of them, of 20 clients that ask for tiles and pictures
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Error, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
STARTS = 5
IN_SIGHT = """(() => { const all = [...document.querySelectorAll('.tile')].filter(t => {
  const r = t.getBoundingClientRect(); return r.bottom > 0 && r.top < innerHeight; });
  const painted = i => i.complete && i.naturalWidth;
  return all.length > 20 && all.every(t => painted(t.querySelector('img'))); })()"""
PRESS = """(key) => new Promise(done => {
  const image = document.getElementById('asked'), before = image.dataset.i, begun = performance.now();
  document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
  const look = () => image.dataset.i !== before && image.complete && image.naturalWidth
    ? requestAnimationFrame(() => done(performance.now() - begun)) : setTimeout(look, 0);
  look(); })"""


def make_folder(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 256, (4, 4, 4, 3), dtype=np.uint8)
    for i in range(count):
        base = Image.fromarray(kinds[i % 4]).resize((32, 32), Image.Resampling.BILINEAR)
        pixels = np.asarray(base).astype(int) + rng.integers(-30, 30, (32, 32, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i:06d}.jpg")


def started(folder: Path, out: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the command; return it and its link."""
    command = [sys.executable, "-m", "sparring", "app", folder, "--out", out]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def end(child: subprocess.Popen[str], how: int = signal.SIGINT) -> None:
    child.send_signal(how)
    child.wait(60)


def wait_until(page: Page, script: str, seconds: float = 300) -> None:
    latest, found = time.monotonic() + seconds, False
    while not found:
        assert time.monotonic() < latest, script
        with suppress(Error):  # the page before goes on to this one
            found = bool(page.evaluate(script))
        time.sleep(0.005)


def first_paint(page: Page, folder: Path, out: Path) -> tuple[float, float]:
    """Return the seconds to the link, and to all images in sight."""
    begun = time.monotonic()
    child, link = started(folder, out)
    linked = time.monotonic() - begun
    page.goto(link)
    wait_until(page, IN_SIGHT)
    painted = time.monotonic() - begun
    if not (out / "listing.npz").exists():
        wait_until(page, "!document.getElementById('status').textContent.includes('Listing')")
    end(child)
    return linked, painted


def label(page: Page, link: str, keys: int) -> list[float]:
    """Answer questions by key; return the milliseconds to the next picture of each."""
    page.goto(link)
    page.wait_for_url("**/")
    page.goto(f"{link.split('/?')[0]}/label")
    for number, name in enumerate("abcd", 1):
        page.fill("#class-name", name)
        page.press("#class-name", "Enter")
        wait_until(page, f"document.querySelectorAll('#classes button').length >= {number}")
    times = []
    for i in range(keys):
        wait_until(page, "document.getElementById('asked').dataset.i && !document.getElementById('asked').hidden")
        page.wait_for_timeout(100)  # nobody presses faster than ten a second
        times.append(page.evaluate(PRESS, "1234"[i % 4]))
    wait_until(page, "document.getElementById('saved').textContent === 'All saved'")
    return times


def answered(link: str, count: int) -> tuple[set[int], float]:
    """Answer as fast as the server takes it; return the images, and the seconds of one answer."""
    base = link.split("/?")[0]
    with httpx.Client(base_url=base, headers={"Origin": base}) as web:
        web.get(f"/?{link.split('?')[1]}").raise_for_status()
        begun = time.monotonic()
        for i in range(count):
            web.post(
                "/api/answer", json={"kind": "label", "images": [i], "label": "a", "why": "look"}
            ).raise_for_status()
        return set(range(count)), (time.monotonic() - begun) / count


def many_clients(link: str, clients: int = 20, requests: int = 60) -> tuple[float, float, int]:
    """Return requests a second, the slowest in seconds, and how many failed."""
    base, took, failed = link.split("/?")[0], list[float](), list[object]()

    def visit(who: int) -> None:
        rng = np.random.default_rng(who)
        with httpx.Client(base_url=base, headers={"Origin": base}, timeout=60) as web:
            web.get(f"/?{link.split('?')[1]}").raise_for_status()
            for _ in range(requests):
                begun = time.monotonic()
                try:
                    some = rng.integers(0, 1000, 60).tolist()
                    web.get(f"/picture/small/{some[0]}").raise_for_status()
                    web.post("/api/tiles", json={"images": some}).raise_for_status()
                except httpx.HTTPError as error:
                    failed.append(error)
                took.append((time.monotonic() - begun) / 2)

    threads = [threading.Thread(target=visit, args=(who,)) for who in range(clients)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 2 * len(took) / (time.monotonic() - begun), max(took), len(failed)


def show(name: str, value: str) -> None:
    print(f"| {name} | {value} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", default=str(Path(tempfile.gettempdir()) / "sparring-app-images"))
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--answers", type=int, default=1000)
    asked = parser.parse_args()
    folder, out = Path(asked.folder), Path(tempfile.mkdtemp()) / "labels"
    if not folder.is_dir():
        make_folder(folder, asked.images)
    with sync_playwright() as p:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        linked, painted = first_paint(page, folder, out)
        show("first start: link, first paint", f"{linked:.2f} s, {painted:.2f} s")
        again = np.array([first_paint(page, folder, out) for _ in range(STARTS)])
        linked, painted = np.median(again, axis=0)
        show(f"second start (median of {STARTS}): link, first paint", f"{linked:.2f} s, {painted:.2f} s")
        child, link = started(folder, out)
        times = label(page, link, asked.keys)
        worst = f"{np.median(times):.0f} ms, {np.quantile(times, 0.95):.0f} ms, {max(times):.0f} ms"
        show(f"key to next picture, {asked.keys} keys: median, 95 %, worst", worst)
        rate, slowest, failed = many_clients(link)
        show("20 clients: requests a second, slowest, failed", f"{rate:.0f}, {slowest:.2f} s, {failed}")
        told, seconds = answered(link, asked.answers)
        end(child, signal.SIGKILL)
    lines = (out / "answers.jsonl").read_text().splitlines()
    kept = {image for line in lines for image in json.loads(line).get("images", ())}
    lost = sum(f"{i:06d}.jpg" not in kept for i in told)
    show(f"{asked.answers} answers, then kill -9: lost, time of each", f"{lost}, {1000 * seconds:.1f} ms")
    shutil.rmtree(out.parent)


if __name__ == "__main__":
    main()
