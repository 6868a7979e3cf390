"""The page of benchmarks has a section for each benchmark against a peer, as its command writes it."""

import re


def test_every_benchmark_has_its_section(root):
    page = (root / "docs/benchmarks.md").read_text()
    files = [p for p in (root / "benchmarks").glob("bench_*.py") if "\ndef section(" in p.read_text()]
    assert files
    titles = [title for p in files for title in re.findall(r"Section\(\s*\"([^\"]+)\"", p.read_text())]
    assert len(titles) == len(files)
    assert sorted(re.findall(r"^## (.+)$", page, re.M)) == sorted(titles)
    assert "Machine: " in page
    assert page.count("Versions: ") == len(titles)
