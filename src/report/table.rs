//! Tables of plain text: columns as wide as their widest cell.
//!
//! Knows nothing of colours; who paints a cell paints it after it was padded.

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// Pads every row's cells to the widths of their columns, two spaces between them.
///
/// Every row has as many cells as there are sides; the last cell is not padded on its right.
pub fn aligned(sides: &[Side], rows: &[Vec<String>]) -> Vec<String> {
    aligned_cells(sides, rows).into_iter().map(|row| row.join("  ").trim_end().to_owned()).collect()
}

/// The same, before the cells are joined.
pub fn aligned_cells(sides: &[Side], rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let widths: Vec<usize> = (0..sides.len())
        .map(|column| {
            rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
        })
        .collect();
    rows.iter()
        .map(|row| {
            row.iter()
                .zip(sides.iter().zip(&widths))
                .map(|(cell, (side, width))| match side {
                    Side::Left => format!("{cell:<width$}"),
                    Side::Right => format!("{cell:>width$}"),
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["rule", "cells"], ["plot.rw", "62,496"], ["step.é", "124"]]
            .map(|row| row.map(String::from).to_vec());
        let lines = aligned(&[Side::Left, Side::Right], &rows);
        assert_eq!(lines, ["rule      cells", "plot.rw  62,496", "step.é      124"]);
    }
}
