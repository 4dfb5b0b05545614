# What a simulation file is: an `.Rdata` file that holds one data frame, `simset`,
# with a row for each year, outcome, simulation and stratum, and the columns below.
# An outcome that is known only for the whole population has no age, race or sex (NA).

simset_columns <- c("year", "outcome", "sim", "age", "race", "sex", "value")

read_simset <- function(path) {
  found <- new.env()
  load(path, envir = found)
  simset <- found$simset
  if (!is.data.frame(simset) || !all(simset_columns %in% names(simset))) {
    stop(sprintf("`%s` holds no simset", path), call. = FALSE)
  }
  simset
}

# The bytes depend on the simset alone: no time, no path, one order of the columns.
write_simset <- function(simset, path) {
  simset <- simset[simset_columns]
  rownames(simset) <- NULL
  dir.create(dirname(path), recursive = TRUE, showWarnings = FALSE)
  save(simset, file = path, version = 3)
}
