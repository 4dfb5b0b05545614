# Draws plots, one JSON file each, from the simulation files of a city and its scenarios.
# Speaks as the real containers do: the same arguments, folders, log lines and exit codes.
# A plot that cannot be drawn is logged and counted, and the others are drawn.

source("simset.R")
suppressPackageStartupMessages({
  library(optparse)
  library(plotly)
})

dimensions <- c("age", "race", "sex")

log_line <- function(level, ...) {
  cat(sprintf("[%s] %s: %s\n", format(Sys.time(), "%Y-%m-%d %H:%M:%S"), level, sprintf(...)))
}

# What is to be drawn ------------------------------------------------------------------------------

read_arguments <- function() {
  axis <- function(flag, text, ...) make_option(flag, help = paste(text, "separated by commas"), ...)
  asked <- parse_args(OptionParser(option_list = list(
    make_option("--city", help = "the city's code"),
    axis("--scenarios", "scenarios"),
    make_option("--scenario", help = "a scenario"),
    axis("--outcomes", "outcomes"),
    axis("--statistics", "statistics", default = "mean.and.interval"),
    axis("--facets", "facets such as none or age+sex,", default = "sex"),
    make_option("--config", help = "YAML file of jobs, in place of the axes above"),
    make_option("--output-dir", default = "plots", help = "where plots are written [%default]"),
    make_option("--include-html", action = "store_true", default = FALSE, help = "write HTML pages too"),
    make_option("--plotly-ids", action = "store_true", default = FALSE,
      help = "keep what plotly names at random: visdat, cur_data and attrs"),
    make_option("--dry-run", action = "store_true", default = FALSE, help = "list the plots and stop")
  )))
  names(asked) <- gsub("-", "_", names(asked))
  asked
}

# A job is one product: a city, and a list of values for each other axis.
read_jobs <- function(asked) {
  if (!is.null(asked$config)) {
    return(lapply(yaml::read_yaml(asked$config)$jobs, function(job) {
      missing <- setdiff(c("city", "scenarios", "outcomes", "statistics", "facets"), names(job))
      if (length(missing) > 0) stop(sprintf("a job in `%s` has no `%s`", asked$config, missing[1]), call. = FALSE)
      lapply(job, function(values) as.character(unlist(values)))
    }))
  }
  if (is.null(asked$city)) stop("`--city` or `--config` is required", call. = FALSE)
  if (is.null(asked$scenarios) && is.null(asked$scenario)) {
    stop("`--scenario` or `--scenarios` is required", call. = FALSE)
  }
  if (is.null(asked$outcomes)) stop("`--outcomes` is required", call. = FALSE)
  values <- function(text) trimws(strsplit(text, ",", fixed = TRUE)[[1]])
  list(list(
    city = asked$city,
    scenarios = if (is.null(asked$scenarios)) asked$scenario else values(asked$scenarios),
    outcomes = values(asked$outcomes),
    statistics = values(asked$statistics),
    facets = values(asked$facets)
  ))
}

plots_in <- function(job) {
  length(job$scenarios) * length(job$outcomes) * length(job$statistics) * length(job$facets)
}

# What a plot shows --------------------------------------------------------------------------------

facet_parts <- function(facet) {
  if (tolower(facet) == "none") character(0) else strsplit(facet, "+", fixed = TRUE)[[1]]
}

# The rows of an outcome, if it can be told apart by these dimensions.
subset_outcome <- function(simset, outcome, parts) {
  rows <- simset[simset$outcome == outcome, ]
  if (nrow(rows) == 0) stop(sprintf("'%s' is not an outcome of this simulation", outcome))
  valid <- vapply(parts, function(part) part %in% dimensions && !anyNA(rows[[part]]), logical(1))
  wrong <- parts[!valid]
  if (length(wrong) > 0) {
    stop(sprintf(
      "Error subsetting ontology: %s %s", paste0("'", wrong, "'", collapse = ", "),
      if (length(wrong) == 1) "does not reference a valid dimension" else "do not reference valid dimensions"
    ))
  }
  rows
}

statistic_of <- function(statistic) {
  middle <- switch(statistic,
    mean.and.interval = mean,
    median.and.interval = median,
    stop(sprintf("'%s' is not a statistic", statistic))
  )
  function(values) {
    c(middle(values), quantile(values, c(0.025, 0.975), names = FALSE))
  }
}

# A row for each stratum and year: the statistic over simulations of the sum within the stratum.
summarise <- function(simset, name, outcome, statistic, facet) {
  parts <- facet_parts(facet)
  rows <- subset_outcome(simset, outcome, parts)
  stratum <- if (length(parts) == 0) rep("", nrow(rows)) else do.call(paste, c(rows[parts], sep = ", "))
  strata <- factor(stratum, levels = unique(stratum))
  sums <- tapply(rows$value, list(rows$sim, rows$year, strata), sum)
  bands <- apply(sums, c(2, 3), statistic_of(statistic))
  data.frame(
    year = rep(as.integer(dimnames(sums)[[2]]), nlevels(strata)),
    line = rep(trimws(paste(name, levels(strata))), each = ncol(sums)),
    simset = name,
    value = as.vector(bands[1, , ]), lower = as.vector(bands[2, , ]), upper = as.vector(bands[3, , ])
  )
}

draw <- function(rows, title, y_label) {
  rows$line <- factor(rows$line, levels = unique(rows$line))
  rows$simset <- factor(rows$simset, levels = unique(rows$simset))
  plot_ly(rows, x = ~year, color = ~line, colors = hcl.colors(nlevels(rows$line), "Dark 3")) |>
    add_ribbons(ymin = ~lower, ymax = ~upper, opacity = 0.25, line = list(width = 0), showlegend = FALSE) |>
    add_lines(y = ~value, linetype = ~simset, name = ~line) |>
    layout(title = title, xaxis = list(title = "Year"), yaxis = list(title = y_label, rangemode = "tozero"))
}

# Files --------------------------------------------------------------------------------------------

to_json <- function(value, ...) {
  jsonlite::toJSON(value, pretty = TRUE, auto_unbox = TRUE, force = TRUE, null = "null", na = "null", ...)
}

write_plot <- function(plot, stem, cell, has_baseline, asked) {
  dir.create(dirname(stem), recursive = TRUE, showWarnings = FALSE)
  json_path <- paste0(stem, ".json")
  html_path <- paste0(stem, ".html")
  built <- plotly_build(plot)
  kept <- c("data", "layout", if (asked$plotly_ids) c("visdat", "cur_data", "attrs"))
  writeLines(to_json(built$x[kept]), json_path)
  if (asked$include_html) {
    htmlwidgets::saveWidget(built, html_path, selfcontained = FALSE, libdir = "lib")
  }
  metadata <- list(
    city = cell$city, scenario = cell$scenario, outcome = cell$outcome,
    statistic_type = cell$statistic, facet_choice = cell$facet,
    file_path = html_path, json_path = json_path, has_baseline = has_baseline,
    generation_time = format(Sys.time(), "%Y-%m-%d %H:%M:%S")
  )
  # Every value is an array of one, as the real containers write it.
  writeLines(jsonlite::toJSON(metadata, pretty = TRUE), paste0(stem, "_metadata.json"))
  basename(json_path)
}

draw_cell <- function(cell, baseline, simset, asked) {
  parts <- facet_parts(cell$facet)
  summary_of <- function(simset, name) summarise(simset, name, cell$outcome, cell$statistic, cell$facet)
  rows <- rbind(if (!is.null(baseline)) summary_of(baseline, "Baseline"), summary_of(simset, cell$scenario))
  by <- if (length(parts) == 0) "" else paste(", by", paste(parts, collapse = " and "))
  plot <- draw(rows, sprintf("%s: %s (%s%s)", cell$city, cell$outcome, cell$scenario, by), cell$outcome)
  part <- if (length(parts) == 0) "unfaceted" else paste0("facet_", cell$facet)
  stem <- file.path(
    asked$output_dir, cell$city, cell$scenario, paste(cell$outcome, cell$statistic, part, sep = "_")
  )
  write_plot(plot, stem, cell, !is.null(baseline), asked)
}

# The batch ----------------------------------------------------------------------------------------

simset_path <- function(...) {
  file.path("simulations", Sys.getenv("MODEL_ID", "ryan-white"), ...)
}

load_baseline <- function(city) {
  log_line("INFO", "Loading baseline simulation for %s", city)
  path <- simset_path("base", paste0(city, "_base.Rdata"))
  if (file.exists(path)) return(read_simset(path))
  log_line("WARN", "Baseline simulation not found: %s", path)
  NULL
}

cells_in <- function(job, scenario) {
  # The facet varies fastest, then the statistic, then the outcome.
  cells <- expand.grid(
    facet = job$facets, statistic = job$statistics, outcome = job$outcomes, stringsAsFactors = FALSE
  )
  cells$city <- rep(job$city, nrow(cells))
  cells$scenario <- rep(scenario, nrow(cells))
  lapply(split(cells, seq_len(nrow(cells))), as.list)
}

main <- function() {
  asked <- read_arguments()
  started <- Sys.time()
  log_line("INFO", "Starting batch plot generation")
  log_line("INFO", "Output mode: plot")
  jobs <- read_jobs(asked)
  total <- sum(vapply(jobs, plots_in, numeric(1)))
  log_line("INFO", "Loaded %d job(s)", length(jobs))
  log_line("INFO", "Total plots to generate: %d", as.integer(total))

  baselines <- list()
  counts <- c(processed = 0L, successful = 0L, errors = 0L)
  for (i in seq_along(jobs)) {
    job <- jobs[[i]]
    city <- job$city
    log_line("INFO", "Processing job %d/%d: City %s", i, length(jobs), city)
    if (!asked$dry_run && !city %in% names(baselines)) baselines[city] <- list(load_baseline(city))
    for (scenario in job$scenarios) {
      if (!asked$dry_run) {
        log_line("INFO", "Loading scenario simulation: %s/%s", city, scenario)
        path <- simset_path("prerun", city, paste0(scenario, ".Rdata"))
        if (!file.exists(path)) {
          # Not counted, as the real containers do not count it: zero plots can exit with 0.
          log_line("ERROR", "Scenario simulation not found: %s", path)
          next
        }
        simset <- read_simset(path)
      }
      for (cell in cells_in(job, scenario)) {
        counts["processed"] <- counts["processed"] + 1L
        log_line("INFO", "[%d/%d] GENERATING: %s/%s/%s (%s, %s)", counts["processed"], as.integer(total),
          city, scenario, cell$outcome, cell$statistic, cell$facet)
        if (asked$dry_run) next
        tryCatch({
          name <- draw_cell(cell, baselines[[city]], simset, asked)
          counts["successful"] <- counts["successful"] + 1L
          log_line("INFO", "SUCCESS: Generated %s", name)
        }, error = function(problem) {
          counts["errors"] <<- counts["errors"] + 1L
          log_line("ERROR", "ERROR: %s", conditionMessage(problem))
        })
      }
    }
  }

  seconds <- as.numeric(difftime(Sys.time(), started, units = "secs"))
  log_line("INFO", "Batch generation complete!")
  log_line("INFO", "Total duration: %.1f seconds", seconds)
  log_line("INFO", "Total plots processed: %d", counts["processed"])
  log_line("INFO", "Successful: %d", counts["successful"])
  log_line("INFO", "Errors: %d", counts["errors"])
  if (counts["successful"] > 0) {
    log_line("INFO", "Average time per successful plot: %.2f seconds", seconds / counts["successful"])
  }
  quit(status = if (counts["errors"] > 0) 1 else 0)
}

main()
