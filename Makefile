# Two commands matter: `make demo` and `make test`. Both install what they need and say so.
#   make demo          build everything, seed it, print one-time links, keep serving until Ctrl-C
#   make demo ONCE=1   play the whole story once, print each step, exit non-zero at the first that fails
#   make test          all tests          make check   style, types, layers, generated files
#   make bench         ratios against bare peers
#   make screenshots   the pictures of README and guide, taken anew while the story plays in a browser
.PHONY: demo test check bench screenshots
ARGS ?=
AS := .ci/as-user
PICTURES := spe/web/manual/pictures

demo:
	@.ci/setup run
	@$(AS) spe up --demo $(if $(ONCE),--once) $(ARGS)

test:
	@.ci/setup test
	@$(AS) python -m pytest $(ARGS)

check:
	@.ci/setup test
	@$(AS) python -m tests.check

bench:
	@.ci/setup run
	@$(AS) python -m tests.bench $(ARGS)

screenshots:
	@.ci/setup test
	@SPE_KEEP=$(PICTURES) SPE_PICTURES=$(PICTURES) $(AS) python -m pytest -q tests/browser/test_story.py
