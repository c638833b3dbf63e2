# Two commands for a new user: `make run` and `make test`. Both install what is missing, say so, and work a second time.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

APT_RUN  := libudev-dev libusb-1.0-0-dev libcurl4-openssl-dev libsqlite3-dev libzstd-dev libsystemd-dev pkg-config python3
APT_DEB  := $(APT_RUN) debhelper dpkg-dev po-debconf chrpath lintian fakeroot binutils
APT_PACKAGE := $(APT_DEB) mmdebstrap
APT_MACHINE := qemu-system-x86 qemu-utils busybox-static e2fsprogs dosfstools mtools xorriso cpio kmod
APT_TEST := $(APT_PACKAGE) $(APT_MACHINE) python3-venv python3-gi gir1.2-umockdev-1.0 umockdev dicom3tools dcmtk systemd openssl \
	chromium fonts-dejavu-core age biosig-tools orthanc orthanc-dicomweb nginx-light iproute2 curl
VENV     := .venv
PYTHON   := $(VENV)/bin/python
REQUIRE  := --requirements Tests/Interop/requirements.txt --requirements Tests/EndToEnd/requirements-browser.txt
BIN      := .build/debug
# Suites that keep all threads busy for minutes: beside them a test of a device that waits three seconds for an answer would be late.
BUSY     := MutationTests|RobustnessTests|StoreTests
# Chroots and mounts need it.
ROOT     := $(if $(filter 0,$(shell id -u)),,sudo)

APT_BENCH := $(APT_TEST) sqlite3 flac zstd xz-utils modemmanager dbus procps

APT_SYSTEM := $(APT_PACKAGE) $(APT_MACHINE) swtpm

.PHONY: help run test test-long fuzz bench deb test-package test-system build lint setup-run setup-test setup-deb \
	setup-package setup-system clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make run            the main job, with simulated devices where none are plugged in; until Ctrl-C
## make run ONCE=1     the same, ends by itself; exit status 0 only if each recording has a receipt that matches
## make run CARD=PATH  with a real card's tree in place of the made one
run: setup-run
	swift build --product ess-agent
	swift build --product ess-server
	swift build --product ess-sim
	ONCE="$(ONCE)" CARD="$(CARD)" Tests/Scripts/demo.sh

## make test           everything that continuous integration runs
test: setup-test lint
	CI=true swift build --build-tests
	ESS_REQUIRE_INTEROP=1 CI=true swift test --skip-build --parallel --skip "$(BUSY)"
	ESS_REQUIRE_INTEROP=1 CI=true swift test --skip-build --parallel --filter "$(BUSY)"
	$(PYTHON) Tests/Interop/check_fhir.py fixtures/server/*.json
	ESS_REQUIRE_BROWSER=1 ESS_BIN_DIR=$(BIN) $(PYTHON) -m pytest -q --durations=10 Tests/Interop Tests/Conformance Tests/EndToEnd
	systemd-analyze security --offline=true --threshold=15 systemd/ess-agent.service > .build/systemd-security.txt \
	  || { cat .build/systemd-security.txt; exit 1; }
	@tail -n 1 .build/systemd-security.txt
	ESS_BINARIES=$(CURDIR)/$(BIN) ESS_DEB_DIRECTORY=.build/deb-debug debian/build.sh
	ESS_DEBS=.build/deb-debug ESS_BIN_DIR=$(BIN) $(PYTHON) -m pytest -q -rs --durations=3 Tests/System/test_package.py Tests/System/test_setup.py \
	  Tests/System/test_serial_cable.py

## make test-long      500 kills, disk faults, power cuts, five minutes of fuzzing for each parser
test-long: setup-test
	CI=true swift build --build-tests
	ESS_LONG=1 CI=true swift test --skip-build
	ESS_LONG=1 ESS_BIN_DIR=$(BIN) $(PYTHON) -m pytest -q Tests/EndToEnd
	$(MAKE) fuzz FUZZ_SECONDS=$(or $(FUZZ_SECONDS),300)

## make fuzz           libFuzzer over every parser, 60 s each; FUZZ_SECONDS=300, ONLY="edf scp-ecg"
fuzz: setup-run
	ESS_FUZZ=1 swift build -c release --sanitize fuzzer --scratch-path .build-fuzz --product ess-fuzz
	python3 Tests/Fuzz/run.py .build-fuzz/release/ess-fuzz $(ONLY)

## make bench          measures, beside a baseline of the same run; ONLY="store sync" runs only those, ESS_BENCH_MINUTES=30 the live ECG of a release
bench: setup-bench
	swift build -c release
	ESS_BIN_DIR=.build/release $(PYTHON) Tests/Bench/run.py $(ONLY)

## make deb            the Debian packages, in .build/deb
deb: setup-deb
	debian/build.sh

## make test-package   install, upgrade, remove, purge, reinstall, set up in a small Debian of its own, and on newer systems; of .build/deb's packages
test-package: setup-package
	ls .build/deb/ess-agent_*.deb >/dev/null 2>&1 || debian/build.sh
	$(ROOT) $(PYTHON) -m pytest -q -rs Tests/System/test_package.py Tests/System/test_setup.py Tests/System/test_newer_systems.py

## make test-system    the whole machine: installed by apt, booted in QEMU, devices, network, clock, disk and power from outside
test-system: setup-system
	swift build
	ls .build/deb/ess-agent_*.deb >/dev/null 2>&1 || debian/build.sh
	$(ROOT) env ESS_BIN_DIR=$(BIN) $(PYTHON) -m pytest -q --durations=10 Tests/System

## make lint           formatting and the direction of imports
lint:
	swift format lint --strict --recursive --parallel Sources Tests Package.swift
	python3 Tests/Scripts/check_imports.py

build:
	swift build

setup-run:
	@Tests/Scripts/setup.sh $(APT_RUN)

setup-test:
	@Tests/Scripts/setup.sh --venv $(VENV) $(REQUIRE) $(APT_TEST)

setup-deb:
	@Tests/Scripts/setup.sh $(APT_DEB)

setup-package:
	@Tests/Scripts/setup.sh --venv $(VENV) $(REQUIRE) $(APT_PACKAGE)

setup-system:
	@Tests/Scripts/setup.sh --venv $(VENV) $(REQUIRE) $(APT_SYSTEM)

setup-bench:
	@Tests/Scripts/setup.sh --venv $(VENV) $(REQUIRE) $(APT_BENCH)

## make clean          removes what was built and the tests' Python environment
clean:
	rm -rf .build $(VENV)
