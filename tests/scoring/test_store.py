"""Folders of files that appear whole, on disk and on object storage."""

import pickle
import threading
from pathlib import Path

import pytest

from hazardrank.errors import OutputError
from hazardrank.scoring.store import FolderStore, ObjectStore, open_store


@pytest.fixture(params=["folder", "object"])
def store(request, tmp_path):
    url = str(tmp_path / "out") if request.param == "folder" else f"file://{tmp_path}/out"
    opened = open_store(url)
    if request.param == "object":
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "blocks").mkdir()
    return opened


def test_what_is_put_comes_back(store):
    assert store.get("blocks/a.json") is None
    store.put("blocks/a.json", b"first")
    store.put("blocks/a.json", b"second")
    assert store.get("blocks/a.json") == b"second"
    assert store.sizes("blocks") == {"a.json": 6}
    assert store.sizes("nowhere") == {}
    assert Path(store.gdal_path("blocks/a.json")).read_bytes() == b"second"


def test_removing_takes_files_and_folders(store):
    store.put("blocks/a.json", b"a")
    store.put("blocks/b.json", b"b")
    store.remove("blocks/a.json")
    assert store.sizes("blocks") == {"b.json": 1}
    store.remove("blocks")
    store.remove("blocks")
    assert store.get("blocks/b.json") is None


def test_a_finished_file_is_moved_in(store, tmp_path):
    local = tmp_path / "map.tif"
    local.write_bytes(b"map")
    store.put_file("map.tif", local)
    assert store.get("map.tif") == b"map"
    assert not local.exists()


def test_a_store_travels_to_a_worker(store):
    store.put("a", b"a")
    assert pickle.loads(pickle.dumps(store)).get("a") == b"a"


def test_a_reader_never_sees_half_a_file(tmp_path):
    store = FolderStore(str(tmp_path))
    contents = [bytes([k]) * 200_000 for k in range(4)]
    store.put("file", contents[0])
    stop = threading.Event()
    seen = set()

    def read():
        while not stop.is_set():
            seen.add(store.get("file"))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for content in contents:
            store.put("file", content)
    stop.set()
    reader.join()
    assert seen <= set(contents)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_gdal_and_fsspec_words_for_the_same_place():
    assert open_store("/vsis3/bucket/folder").url == "s3://bucket/folder"
    assert open_store("s3://bucket/folder/").gdal_path("a.tif") == "/vsis3/bucket/folder/a.tif"


def test_a_place_gdal_cannot_read_is_refused():
    with pytest.raises(OutputError, match="GDAL reads no 'memory://' folders"):
        ObjectStore("memory://bucket").gdal_path("a.tif")


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be read or written"):
        FolderStore(str(tmp_path / "file")).put("a/b", b"")
