import pytest

from coldpress.errors import SamplesError
from coldpress.samples.folder import read_folder
from coldpress.samples.load import load_samples
from coldpress.signature import Port, Signature


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()

    def make(*names):
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"")
        return root

    return make


def names(folder):
    return [path.relative_to(folder.root).as_posix() for path in folder.files]


def test_files_come_in_the_order_of_their_names_and_hidden_ones_not_at_all(tree):
    root = tree("b.png", "a.PNG", "c.png", ".hidden.png", ".git/d.png", "note.txt")
    folder = read_folder(root, {".png"})
    assert names(folder) == ["a.PNG", "b.png", "c.png"]
    assert folder.labels == ()
    assert [note for note in folder.notes if ".txt" in note]


def test_folders_are_classes_in_the_order_of_their_names(tree):
    folder = read_folder(tree("dog/1.png", "cat/2.png", "cat/deep/3.png", "10/4.png"), {".png"})
    assert names(folder) == ["10/4.png", "cat/2.png", "cat/deep/3.png", "dog/1.png"]
    assert folder.labels == (0, 1, 1, 2)
    assert folder.notes == ("classes by the order of their folders' names: 10 0, cat 1, dog 2",)


def test_folders_that_are_numbers_are_these_classes(tree):
    folder = read_folder(tree("10/a.png", "9/b.png", "207/c.png"), {".png"})
    assert folder.labels == (10, 207, 9)
    assert folder.notes == ()


def test_one_folder_that_is_no_number_is_no_class(tree):
    assert read_folder(tree("images/a.png", "images/b.png"), {".png"}).labels == ()
    assert read_folder(tree("images/a.png", "nothing/b.txt"), {".png"}).labels == ()


def test_most_is_spread_over_all(tree):
    folder = read_folder(tree(*(f"{c}/{i}.png" for c in range(2) for i in range(4))), {".png"}).spread(4)
    assert names(folder) == ["0/0.png", "0/2.png", "1/0.png", "1/2.png"]
    assert folder.labels == (0, 0, 1, 1)
    assert "4 of the 8" in folder.notes[-1]
    assert folder.spread(9) is folder


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "holds nothing; give files that end in .png"),
        (["a.txt", "b"], "holds only .txt, b"),
        (["a.png", "cat/b.png"], "a.png beside the folder 'cat'"),
        (["1/a.png", "01/b.png"], "mean the same class"),
    ],
)
def test_folders_that_say_nothing_clear_are_refused(tree, files, words):
    with pytest.raises(SamplesError, match=words):
        read_folder(tree(*files), {".png"})


def test_links_out_of_the_folder_are_refused_and_links_within_followed(tree, tmp_path):
    root = tree("a.png")
    (root / "b.png").symlink_to("a.png")
    assert names(read_folder(root, {".png"})) == ["a.png", "b.png"]
    (tmp_path / "secret.png").write_bytes(b"")
    (root / "c.png").symlink_to("../secret.png")
    with pytest.raises(SamplesError, match=r"c\.png is a link out of the folder"):
        read_folder(root, {".png"})
    (root / "c.png").unlink()
    (root / "loop").symlink_to(".")
    with pytest.raises(SamplesError, match="loop is a link"):
        read_folder(root, {".png"})


def test_too_many_files_are_refused(tree, monkeypatch):
    monkeypatch.setattr("coldpress.samples.folder.MAX_FILES", 2)
    with pytest.raises(SamplesError, match="over 2 files"):
        read_folder(tree("a.png", "b.png", "c.png"), {".png"})


def test_a_folder_of_both_kinds_is_refused_and_so_is_a_model_of_many_inputs(tree):
    port = Port("x", "tensor(float)", "tensor", "FP32", "float32", (1, 10))
    with pytest.raises(SamplesError, match="both pictures and sound"):
        load_samples(tree("a.png", "b.wav"), Signature((port,), ()))
    (tree("a.png") / "b.wav").unlink()
    other = Port("y", "tensor(float)", "tensor", "FP32", "float32", (1, 10))
    with pytest.raises(SamplesError, match="the model has 2 that are neither states nor constants"):
        load_samples(tree("a.png"), Signature((port, other), ()))
