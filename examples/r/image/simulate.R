# Makes a simulation from a file of parameters: the same seed gives the same bytes.
# Without a scenario it makes the baseline; with one it bends a baseline that is there already.
# The numbers are invented; only their shape is that of a real model.

source("simset.R")
suppressPackageStartupMessages(library(optparse))

read_parameters <- function(path) {
  parameters <- yaml::read_yaml(path)
  needed <- c("seed", "simulations", "years", "outcomes", "shares", "scenarios")
  missing <- setdiff(needed, names(parameters))
  if (length(missing) > 0) {
    stop(sprintf("`%s` does not say `%s`", path, missing[1]), call. = FALSE)
  }
  parameters
}

# Named generators, so that another R's defaults change nothing.
seed_with <- function(seed) {
  set.seed(seed, kind = "Mersenne-Twister", normal.kind = "Inversion", sample.kind = "Rejection")
}

# The last bits of `exp` differ between processors; four decimals do not.
settle <- function(values) round(values, 4)

years_of <- function(parameters) {
  seq(parameters$years$from, parameters$years$to)
}

# All strata of the population and the share of each, every combination of age, race and sex.
strata_of <- function(shares) {
  strata <- expand.grid(
    age = names(shares$age), race = names(shares$race), sex = names(shares$sex),
    stringsAsFactors = FALSE
  )
  strata$share <- unlist(shares$age)[strata$age] *
    unlist(shares$race)[strata$race] * unlist(shares$sex)[strata$sex]
  strata
}

# One outcome of the baseline: a trend, a factor for each simulation and, where it has strata, for each of them.
simulate_outcome <- function(name, outcome, parameters) {
  years <- years_of(parameters)
  sims <- seq_len(parameters$simulations)
  strata <- if (isTRUE(outcome$stratified)) {
    strata_of(parameters$shares)
  } else {
    data.frame(age = NA_character_, race = NA_character_, sex = NA_character_, share = 1)
  }
  rows <- expand.grid(year = years, sim = sims, stratum = seq_len(nrow(strata)))
  level <- exp(rnorm(length(sims), 0, outcome$spread))
  slope <- rnorm(length(sims), outcome$trend, outcome$spread / 20)
  tilt <- exp(rnorm(nrow(strata), 0, outcome$spread))
  value <- outcome$level * strata$share[rows$stratum] * tilt[rows$stratum] *
    level[rows$sim] * exp(slope[rows$sim] * (rows$year - years[1]))
  if (!is.null(outcome$maximum)) {
    value <- pmin(value, outcome$maximum)
  }
  data.frame(
    year = rows$year, outcome = name, sim = rows$sim,
    strata[rows$stratum, c("age", "race", "sex")], value = settle(value)
  )
}

simulate_baseline <- function(parameters) {
  seed_with(parameters$seed)
  outcomes <- parameters$outcomes
  do.call(rbind, Map(simulate_outcome, names(outcomes), outcomes, list(parameters)))
}

# The baseline, changed from the scenario's start on: for good, or until its end, after which it fades.
# Every scenario meets the same simulations, so what differs between two scenarios is the scenario.
simulate_scenario <- function(baseline, scenario, parameters) {
  seed_with(parameters$seed + 1)
  response <- exp(rnorm(parameters$simulations, 0, 0.2))
  until <- if (is.null(scenario$until)) Inf else scenario$until
  strength <- pmax(pmin(baseline$year, until) - scenario$from, 0) *
    exp(-0.5 * pmax(baseline$year - until, 0))
  effect <- unlist(scenario$effects)[baseline$outcome]
  effect[is.na(effect)] <- 0
  factor <- pmax(1 + effect * response[baseline$sim] * (1 - exp(-0.5 * strength)), 0)
  baseline$value <- settle(baseline$value * factor)
  baseline
}

main <- function() {
  asked <- parse_args(OptionParser(option_list = list(
    make_option("--parameters", help = "YAML file of parameters"),
    make_option("--output", help = "the `.Rdata` file to write"),
    make_option("--scenario", help = "make this scenario [the baseline]"),
    make_option("--baseline", help = "the `.Rdata` file that the scenario starts from")
  )))
  if (is.null(asked$parameters) || is.null(asked$output)) {
    stop("`--parameters` and `--output` are required", call. = FALSE)
  }
  if (is.null(asked$scenario) != is.null(asked$baseline)) {
    stop("`--scenario` and `--baseline` go together", call. = FALSE)
  }
  parameters <- read_parameters(asked$parameters)
  if (is.null(asked$scenario)) {
    simset <- simulate_baseline(parameters)
  } else {
    scenario <- parameters$scenarios[[asked$scenario]]
    if (is.null(scenario)) {
      stop(sprintf("`%s` has no scenario `%s`", asked$parameters, asked$scenario), call. = FALSE)
    }
    simset <- simulate_scenario(read_simset(asked$baseline), scenario, parameters)
  }
  write_simset(simset, asked$output)
  cat(sprintf("wrote %d rows to %s\n", nrow(simset), asked$output))
}

main()
