from __future__ import annotations

import subprocess
import sys


def test_without_grpc_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['grpc'] = None\n"
        "from carob.cli.main import main\n"
        "sys.exit(main(['--dir', '/nowhere', 'api-service', '--listen=/nowhere/s']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert "pip install 'carob[service]'" in done.stderr


def test_wrong_words_are_told_before_grpc_is_loaded() -> None:
    code = (
        "import sys\n"
        "from carob.cli.main import main\n"
        "status = main(['api-service', *sys.argv[1:]])\n"
        "assert 'grpc' not in sys.modules\n"
        "sys.exit(status)\n"
    )
    for words, said in (
        (["--listen=192.0.2.1:80"], "reached from elsewhere"),
        (["--listen=x"], "no address"),
        (["--tls-cert=a"], "TLS needs all"),
        (["--socket-mode=999"], "no file mode"),
        (["--socket-group=no such group"], "no group"),
        (["--max-calls=0"], "must be 1 or more"),
        (["--metrics=192.0.2.1:80"], "loopback"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 125, words
        assert said in done.stderr, done.stderr
