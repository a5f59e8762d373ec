# CONTRIBUTING.md says what each target is for; README.md has the two that matter, `make demo` and `make test`.
PREFIX ?= /usr/local
DESTDIR ?=
# What the demo installs and runs, and where from.
ADAPTER ?= super-resolution
REGISTRY ?= registry
# A folder of products that are built already, for `make install` without building.
PRODUCTS ?=

PACKAGES := pkg-config libdnnl-dev libopenblas-openmp-dev liblapacke-dev libzip-dev libyaml-dev libsodium-dev \
  libvips-dev liblcms2-dev libsqlite3-dev libcurl4-openssl-dev libssl-dev
# Programs that tests compare with, or run the program under. A test that misses one is skipped and says so, hence
# `make test TEST_PACKAGES=` does without.
TEST_PACKAGES := docker-registry skopeo strace openssl openmpi-bin
SOURCES := Package.swift Sources Plugins Tests
BUILT = $(or $(PRODUCTS),.build/release)
CODI = .build/release/codi

.PHONY: build demo demo/store test fuzz proof-batch conformance seams attacks install setup format lint bench docs clean

build: setup
	swift build -c release

# Installs the Debian packages that are missing; needs neither network nor root when there are none.
setup:
	@command -v dpkg-query >/dev/null || { echo "This is no Debian; have the likes of these ready: $(PACKAGES)"; exit 0; }; \
	missing=; for package in $(PACKAGES); do \
	  [ "$$(dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	[ -z "$$sudo" ] || command -v sudo >/dev/null || { echo "Install as root, then go on: apt-get install$$missing"; exit 1; }; \
	echo "installing$$missing"; \
	$$sudo apt-get update && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing </dev/null

# Builds everything first, the libraries of the task plugins too: they are products of the package. Without testable
# imports (there are none) the objects are those of `make build`. FILTER=NAME runs some tests only.
test: PACKAGES += $(TEST_PACKAGES)
test: setup
	OMP_WAIT_POLICY=passive swift test -c release --disable-testable-imports --disable-xctest $(FILTER:%=--filter %)

# Looks for inputs that break the readers of strangers' bytes, for SECONDS of processor time each: all of them, or one
# of zip, manifest, safetensors, oci, sums, words. Tests/Fuzz/run.sh says where the results go.
fuzz: setup
	Tests/Fuzz/run.sh $(or $(SECONDS),600) $(TARGET)

# Two thousand crops of the photographs in CODI_TEST_DATA, twenty of them broken, through the adapter with ten kills.
proof-batch:
	$(MAKE) test FILTER=BatchProofTests CODI_PROOF_PICTURES=2000 CODI_PROOF_KILLS=10 CODI_PROOF_ADAPTER=$(ADAPTER)

# Writes Documentation/Conformance.md: what is kept of a photograph in which format, as tried out.
conformance:
	$(MAKE) test FILTER=ConformanceTests/write CODI_WRITE_CONFORMANCE=1

# How far regions show with the adapter: figures for a photograph, and for flat, even and noisy pictures.
seams: demo/store
	CODI_HOME=$(CURDIR)/demo/store $(CODI) bench --adapter $(ADAPTER) --seams Documentation/Samples/jumper.png

# Every attack and fault that the tests make, and the table of what came of them, Documentation/Attacks.md.
ATTACK_TESTS := FaultTests|KillTests|AttackTests|Hostile|ConformanceTests|DownloadTests|TokenTests|TLSTests|LockFile
attacks: setup
	rm -f .build/attacks.tsv
	CODI_ATTACKS=$(CURDIR)/.build/attacks.tsv CODI_PROOF_INSTALL=all \
	  $(MAKE) test FILTER='"$(ATTACK_TESTS)|SharedLibraryTests|^BundlesTests"'
	.ci/attacks .build/attacks.tsv Tests/Fuzz/Runs.md > Documentation/Attacks.md
	@sed -n 1,20p Documentation/Attacks.md

# The adapter, with the core it needs, in a store of its own below demo/.
demo/store: build
	@test -f $(REGISTRY)/oci-layout || { \
	  echo "There is no registry in $(REGISTRY) to install $(ADAPTER) from; name one with make demo REGISTRY=FOLDER."; exit 1; }
	CODI_HOME=$(CURDIR)/demo/store $(CODI) install $(ADAPTER) --registry $(REGISTRY)

# Converts the sample photographs.
demo: demo/store
	CODI_HOME=$(CURDIR)/demo/store $(CODI) convert Documentation/Samples --adapter $(ADAPTER) --out demo/pictures \
	  --existing overwrite --report demo/index.html
	@echo "Look at it: file://$(CURDIR)/demo/index.html (pictures in demo/pictures)"

ROOT = $(DESTDIR)$(PREFIX)

# Program, the process that plugins run in, the Swift runtime both were built with, the libraries of the tasks, which
# training runs, what plugins are made from, and the embedded registry. The run path of a built program names the
# toolchain first; the installed one looks for its own runtime first (a swap within the string, so no byte moves).
install: $(if $(PRODUCTS),,build)
	mkdir -p $(ROOT)/bin $(ROOT)/lib/codi $(ROOT)/share/codi
	ldd $(BUILT)/codi | awk '$$3 ~ "/swift/linux/" { print $$3 }' | xargs -r install -m 644 -t $(ROOT)/lib/codi
	for program in codi codi-plugin-host; do \
	  sed -z 's#^\(/.*\):\($$ORIGIN\):\($$ORIGIN/\.\./lib/codi\)$$#\3:\2:\1#' $(BUILT)/$$program \
	    > $(ROOT)/bin/$$program.new && chmod 755 $(ROOT)/bin/$$program.new && \
	  mv $(ROOT)/bin/$$program.new $(ROOT)/bin/$$program || exit 1; \
	done
	for library in $(BUILT)/lib*.so; do \
	  [ ! -f "$$library" ] || install -m 644 -t $(ROOT)/lib/codi "$$library" || exit 1; \
	done
	mkdir -p $(ROOT)/share/codi/plugin-kit
	cp -R Sources/CPluginABI/include/codi_plugin.h Sources/PluginKit Plugins/Template $(ROOT)/share/codi/plugin-kit/
	if [ -d registry ]; then cp -R registry $(ROOT)/share/codi/; else echo "no registry/ to install yet"; fi

# The reference documentation, .build/docs.
docs: build
	.ci/docs
	@echo "Look at it: python3 -m http.server -d .build/docs, then http://localhost:8000/documentation"

clean:
	rm -rf .build demo

format:
	swift format -i -r $(SOURCES)

lint:
	swift format lint --strict -r $(SOURCES)

# Speed of conversion and of training steps; wants an otherwise idle machine.
bench: demo/store
	CODI_HOME=$(CURDIR)/demo/store $(CODI) bench --adapter $(ADAPTER)
