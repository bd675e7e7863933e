"""scripts/build-repo with real packages and keys, read by the real apt as on a device."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TODAY = "1700000000"  # in 2023, for the lists; apt refuses dates in the future
DAY = 86400

_PROGRAMS = ("apt-ftparchive", "apt-get", "dpkg-deb", "gpg")
pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in _PROGRAMS),
    reason="apt-utils and gpg are missing; scripts/test installs them",
)


class Keys:
    """A folder of gpg with one key; `now` is the time that gpg takes for the present."""

    def __init__(self, name: str, now: str = "", expires: str = "never") -> None:
        # The agent's socket has a short path only; pytest's folders are too deep.
        self.home = Path(tempfile.mkdtemp(prefix="keys-"))
        self.mail = f"{name}@keys.example"
        if now:
            (self.home / "gpg.conf").write_text(f"faked-system-time {now}!\n")
        make = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key"]
        subprocess.run([*make, self.mail, "ed25519", "sign", expires], env=self.environment, check=True)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "GNUPGHOME": str(self.home)}

    def close(self) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], env=self.environment, check=True)
        shutil.rmtree(self.home, ignore_errors=True)  # the agent deletes its sockets meanwhile


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    made = Keys("ours")
    yield made
    made.close()


@pytest.fixture(scope="module")
def expired_keys() -> Iterator[Keys]:
    """A key of ten days, at a time when it was valid."""
    made = Keys("expired", now="20200101T000000", expires="10d")
    yield made
    made.close()


def make_package(folder: Path, version: str = "1.0", arch: str = "amd64", text: str = "stand-in") -> Path:
    tree = folder / f"{version}-{arch}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: edge-daemon\nVersion: {version}\nArchitecture: {arch}\nMaintainer: A <a@a.example>\n"
        f"Description: {text}\n"
    )
    made = folder / f"{version}_{arch}.deb"
    command = ["dpkg-deb", "--build", "--root-owner-group", str(tree), str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def build(
    keys: Keys, folder: Path, *words: str | Path, when: str = TODAY, umask: int = 0o022
) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "scripts/build-repo", "--key", keys.mail, "--into", folder, *words]
    return subprocess.run(
        command,
        env={**keys.environment, "SOURCE_DATE_EPOCH": when},
        umask=umask,
        capture_output=True,
        text=True,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a script that refuses."""
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


class Device:
    """apt in a folder of its own, for amd64, with the .sources file of one repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "var/lib/dpkg",
            "var/lib/apt/lists",
            "var/cache/apt/archives",
        ):
            (folder / name).mkdir(parents=True)
        (folder / "var/lib/dpkg/status").touch()
        # Read before this machine's settings, which are then those of the folder: none.
        (folder / "apt.conf").write_text(
            f'Dir "{folder}"; Dir::State::status "{folder}/var/lib/dpkg/status"; Acquire::Languages "none";\n'
            'APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Sandbox::User "root";\n'
        )

    def use(self, repository: Path) -> None:
        shutil.copy(repository / "edge-daemon.sources", self.folder / "etc/apt/sources.list.d")

    def apt(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C",
            "TMPDIR": str(self.folder),
            "APT_CONFIG": str(self.folder / "apt.conf"),
        }
        command = ["apt-get", *words]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def update(self) -> None:
        done = self.apt("update", "--error-on=any")
        assert (done.returncode, done.stderr) == (0, "")

    def fetched(self) -> bytes:
        """The package that apt downloads."""
        done = self.apt("download", "edge-daemon")
        assert done.returncode == 0, done.stderr
        return max(self.folder.glob("edge-daemon_*.deb")).read_bytes()


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "device")


def test_apt_takes_the_package_and_then_its_successor(tmp_path: Path, keys: Keys, device: Device) -> None:
    old, new = make_package(tmp_path, "1.0"), make_package(tmp_path, "1.1")
    repository = tmp_path / "re pository"
    done = build(keys, repository, old)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith((repository / "edge-daemon.sources").read_text())
    device.use(repository)
    device.update()
    assert device.fetched() == old.read_bytes()
    assert build(keys, repository, new, when=str(int(TODAY) + DAY)).returncode == 0
    device.update()
    assert device.fetched() == new.read_bytes()
    assert sorted(path.name for path in repository.iterdir()) == ["dists", "edge-daemon.sources", "pool"]


def test_each_processor_gets_its_own_package(tmp_path: Path, keys: Keys) -> None:
    for arch in ("arm64", "amd64"):
        build(keys, tmp_path / "repository", make_package(tmp_path, arch=arch))
    dist = tmp_path / "repository/dists/stable"
    assert "Architectures: amd64 arm64\n" in (dist / "Release").read_text()
    for arch in ("arm64", "amd64"):
        packages = (dist / f"main/binary-{arch}/Packages").read_text()
        assert packages.count("Package: ") == 1
        assert f"Filename: pool/edge-daemon_1.0_{arch}.deb\n" in packages


def test_a_processor_without_a_package_is_not_promised(tmp_path: Path, keys: Keys) -> None:
    build(keys, tmp_path / "repository", make_package(tmp_path, arch="arm64"))
    release = (tmp_path / "repository/dists/stable/Release").read_text()
    assert "Architectures: arm64\n" in release
    assert "binary-amd64" not in release


def test_the_same_packages_give_the_same_lists_in_any_order_and_place(tmp_path: Path, keys: Keys) -> None:
    packages = [make_package(tmp_path, version, arch) for version in "123" for arch in ("amd64", "arm64")]
    one, other = tmp_path / "one", tmp_path / "other/place"
    build(keys, one, *packages)
    for package in reversed(packages):
        assert build(keys, other, package, umask=0o077).returncode == 0
    lists = sorted(path.relative_to(one) for path in one.glob("dists/**/*") if path.is_file())
    assert [path.name for path in lists if path.name not in ("InRelease", "Release.gpg")] == [
        "Release",
        *(name for _ in range(2) for name in ("Packages", "Packages.xz")),
    ]
    for path in lists:
        if path.name not in ("InRelease", "Release.gpg"):
            assert (one / path).read_bytes() == (other / path).read_bytes()
    assert all(path.stat().st_mode & 0o004 for path in other.rglob("*"))


def test_without_a_package_the_list_is_signed_again_without_what_was_deleted(
    tmp_path: Path, keys: Keys
) -> None:
    repository = tmp_path / "repository"
    build(keys, repository, make_package(tmp_path, "1.0"), make_package(tmp_path, "1.1"))
    (repository / "pool/edge-daemon_1.1_amd64.deb").unlink()
    later = str(int(TODAY) + DAY)
    assert build(keys, repository, "--valid-days", "7", when=later).returncode == 0
    release = (repository / "dists/stable/Release").read_text()
    assert "Date: Wed, 15 Nov 2023 22:13:20 +0000\n" in release
    assert "Valid-Until: Wed, 22 Nov 2023 22:13:20 +0000\n" in release
    assert "1.1" not in (repository / "dists/stable/main/binary-amd64/Packages").read_text()


def test_apt_refuses_a_list_past_its_date(tmp_path: Path, keys: Keys, device: Device) -> None:
    repository = tmp_path / "repository"
    build(keys, repository, "--valid-days", "7", make_package(tmp_path))
    device.use(repository)
    done = device.apt("update")
    assert done.returncode == 100
    assert "is expired (invalid since" in done.stderr
    assert device.apt("download", "edge-daemon").returncode == 100


def test_apt_refuses_a_list_that_another_key_signed(tmp_path: Path, keys: Keys, device: Device) -> None:
    repository = tmp_path / "repository"
    build(keys, repository, make_package(tmp_path))
    device.use(repository)
    others = Keys("others")
    build(others, repository)
    others.close()
    done = device.apt("update")
    assert done.returncode == 100
    assert "is not signed" in done.stderr
    assert device.apt("download", "edge-daemon").returncode == 100


@pytest.mark.skipif(
    shutil.which("sqv") is not None, reason="Debian 13's apt accepts what was signed before the key expired"
)
def test_apt_refuses_a_key_that_has_expired(tmp_path: Path, expired_keys: Keys, device: Device) -> None:
    repository = tmp_path / "repository"
    assert build(expired_keys, repository, make_package(tmp_path)).returncode == 0
    device.use(repository)
    done = device.apt("update")
    assert done.returncode == 100
    assert "is not signed" in done.stderr


def test_apt_refuses_a_list_that_was_changed(tmp_path: Path, keys: Keys, device: Device) -> None:
    repository = tmp_path / "repository"
    build(keys, repository, make_package(tmp_path))
    signed = repository / "dists/stable/InRelease"
    signed.write_text(signed.read_text().replace("Label: edge-daemon", "Label: other"))
    device.use(repository)
    done = device.apt("update")
    assert done.returncode == 100
    assert device.apt("download", "edge-daemon").returncode == 100


@pytest.mark.parametrize(("fault", "said"), [("missing", "File not found"), ("changed", "Hash Sum mismatch")])
def test_apt_refuses_a_package_that_is_missing_or_changed(
    fault: str, said: str, tmp_path: Path, keys: Keys, device: Device
) -> None:
    repository = tmp_path / "repository"
    build(keys, repository, make_package(tmp_path))
    device.use(repository)
    device.update()
    (package,) = repository.glob("pool/*.deb")
    if fault == "missing":
        package.unlink()
    else:
        package.write_bytes(package.read_bytes()[:-1] + b"?")
    done = device.apt("download", "edge-daemon")
    assert done.returncode == 100
    assert said in done.stderr


def test_a_package_with_other_bytes_under_a_published_version_is_refused(tmp_path: Path, keys: Keys) -> None:
    repository = tmp_path / "repository"
    build(keys, repository, make_package(tmp_path / "a"))
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    line = refusal(build(keys, repository, make_package(tmp_path / "b", text="other")))
    assert line.endswith("which devices may have installed; give it a higher version")
    assert {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()} == before


def test_an_older_date_than_the_published_one_is_refused(tmp_path: Path, keys: Keys) -> None:
    repository = tmp_path / "repository"
    build(keys, repository, make_package(tmp_path))
    line = refusal(build(keys, repository, when=str(int(TODAY) - DAY)))
    assert "(Tue, 14 Nov 2023 22:13:20 +0000), and apt would ignore this one" in line


def test_a_key_that_gpg_does_not_have_is_refused(tmp_path: Path, keys: Keys) -> None:
    line = refusal(build(keys, tmp_path / "repository", "--key", "nobody@x", make_package(tmp_path)))
    assert line == "error: gpg has no secret key 'nobody@x'; 'gpg --list-secret-keys' lists yours"


def test_a_key_that_has_expired_is_refused_with_what_extends_it(tmp_path: Path, expired_keys: Keys) -> None:
    (expired_keys.home / "gpg.conf").rename(expired_keys.home / "gpg.conf.off")
    try:
        line = refusal(build(expired_keys, tmp_path / "repository", make_package(tmp_path)))
    finally:
        (expired_keys.home / "gpg.conf.off").rename(expired_keys.home / "gpg.conf")
    assert "has expired; `gpg --quick-set-expire " in line
    assert not (tmp_path / "repository").exists()


def test_without_a_key_the_line_says_how_to_make_one(keys: Keys) -> None:
    done = subprocess.run([ROOT / "scripts/build-repo"], env=keys.environment, capture_output=True, text=True)
    assert "`gpg --quick-generate-key 'Packages of NAME <MAIL>' ed25519 sign 2y` makes one" in refusal(done)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "there is no repository in "),
        (("absent.deb",), "absent.deb is not a Debian package"),
        (("--valid-days", "soon"), "--valid-days takes a number of days up to 9999, not 'soon'"),
        (("--valid-days",), "--valid-days needs a value"),
        (("--suite", "x"), "unknown option '--suite'; there are --key, --into, --url and --valid-days"),
    ],
)
def test_a_wrong_argument_is_named(words: tuple[str, ...], said: str, tmp_path: Path, keys: Keys) -> None:
    assert said in refusal(build(keys, tmp_path / "repository", *words))


def test_a_package_for_another_processor_is_refused(tmp_path: Path, keys: Keys) -> None:
    line = refusal(build(keys, tmp_path / "repository", make_package(tmp_path, arch="armhf")))
    assert line.endswith("is for armhf; the repository has amd64 and arm64")
