# Signet. `make test` is the whole proof and needs nothing set up by hand.

export CGO_ENABLED ?= 0

.PHONY: build build-pkcs11 test bench soak check fuzz fixtures demo clean deb container packages reproducible

build:
	@scripts/build signet

# The same for CA keys on a PKCS#11 token; needs a C compiler.
build-pkcs11:
	@TAGS=pkcs11 scripts/build signet-pkcs11

# Installs what the tests need (as root on Debian), then runs everything.
test:
	@scripts/test

# Prints speed and memory against the numbers to hold.
bench:
	@scripts/bench

# Looks for rare events: races and kills, often.
soak:
	@scripts/soak

check:
	@scripts/check

# Each fuzz target for FUZZTIME (10s).
fuzz:
	@scripts/fuzz

# Makes the committed sample files again with the programs that write them.
fixtures:
	testdata/history/remake.sh
	testdata/pfx/remake.sh

# The Debian package and the container image, each made and judged.
packages: deb container

deb:
	@rm -f .build/*.deb
	@packaging/deb .build
	@packaging/check .build/*.deb

container:
	@packaging/container/build --check

# Builds the last commit in two folders and compares.
reproducible:
	@scripts/reproducible

demo:
	go run ./cmd/signet demo

clean:
	rm -rf signet .build signet-demo
