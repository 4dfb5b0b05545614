#!/bin/bash
# The container's interface: a mode, and the arguments of that mode.
set -euo pipefail
cd "$(dirname "$0")"

mode=${1:-}
shift || :
case $mode in
  batch) exec Rscript --vanilla plots.R "$@" ;;
  simulate) exec Rscript --vanilla simulate.R "$@" ;;
  version) exec Rscript --vanilla -e 'cat(R.version.string, "with plotly", format(packageVersion("plotly")), "\n")' ;;
esac
cat >&2 <<'USAGE'
usage: MODE [ARGUMENT...]
  batch      draw plots from simulations (batch --help)
  simulate   make a simulation (simulate --help)
  version    say what is in this image
USAGE
exit 1
