# Two commands matter: `make demo` and `make test`. Both install what they need and say so.
#   make demo          build everything, seed it, print one-time links, keep serving until Ctrl-C
#   make demo ONCE=1   play the whole story once, print each step, exit non-zero at the first that fails
#   make test          all tests (ARGS='tests/web -x' for some)          make check   style, types, layers, generated files
#   make e2e           the tests that need real servers: a cluster, Vault, S3, PostgreSQL, named by the usual variables
#   make images        the container images, and a file with their references (see .ci/images)
#   make requirements  what each image installs, and the chart's schema, made anew from pins and settings
#   make bench         ratios against bare peers
#   make screenshots   the pictures of README and guide, taken anew while the story plays in a browser
.PHONY: demo test check e2e images requirements bench screenshots
ARGS ?=
AS := .ci/as-user
PICTURES := spe/web/manual/pictures

demo:
	@.ci/setup run
	@$(AS) spe up --demo $(if $(ONCE),--once) $(ARGS)

test:
	@.ci/setup test
	@$(AS) python -m $(if $(ARGS),pytest $(ARGS),tests.everything)

check:
	@.ci/setup test
	@$(AS) python -m tests.check

e2e:
	@.ci/setup test
	@.ci/e2e $(ARGS)

images:
	@.ci/images $(ARGS)

requirements:
	@.ci/setup test
	@SPE_KEEP="images charts" $(AS) sh -c 'python images/requirements.py && python charts/schema.py'

bench:
	@.ci/setup run
	@$(AS) python -m tests.bench $(ARGS)

screenshots:
	@.ci/setup test
	@SPE_KEEP=$(PICTURES) SPE_PICTURES=$(PICTURES) $(AS) python -m pytest -q tests/browser/test_story.py
