//! One row of each workload out of the rows of its numbers: the limit that binds is the one that is reached first.

use super::{Movement, Other, Row};

/// Makes one row of each workload.
///
/// A climb goes before what is calm, the sooner before the later. Where the whole cannot be told from a plateau yet, the heap after
/// its collections tells; else the whole is shown.
pub fn bind(rows: Vec<Row>) -> Vec<Row> {
    let mut bound: Vec<Row> = Vec::with_capacity(rows.len());
    let mut at = std::collections::BTreeMap::new();
    for row in rows {
        let key = (row.cluster.clone(), row.namespace.clone(), row.name.clone(), row.container.clone());
        match at.get(&key).and_then(|at: &usize| bound.get_mut(*at)) {
            None => {
                at.insert(key, bound.len());
                bound.push(row);
            }
            Some(other) => {
                let (mut first, second) =
                    if goes_before(&row, other) { (row, other.clone()) } else { (other.clone(), row) };
                first.kills = first.kills.or(second.kills);
                first.restarts = first.restarts.max(second.restarts);
                if first.waits.is_none() {
                    first.waits.clone_from(&second.waits);
                }
                if let (None, Ok(v)) = (&first.other, &second.verdict) {
                    let number = second.number.clone();
                    first.other = Some(Other { number, is_heap: second.is_heap, movement: v.movement });
                }
                *other = first;
            }
        }
    }
    bound
}

fn goes_before(a: &Row, b: &Row) -> bool {
    let time = |row: &Row| row.verdict.as_ref().map_or(f64::INFINITY, |v| v.time_to_limit.mid);
    match (a.is_finding(), b.is_finding()) {
        (true, true) => time(a) < time(b),
        (one, other) if one != other => one,
        _ => calm(a) < calm(b),
    }
}

/// Of rows that do not climb, the lower goes first.
fn calm(row: &Row) -> u8 {
    match &row.verdict {
        Ok(v) if v.movement != Movement::Undecided => u8::from(row.is_heap),
        Ok(_) => 2 + u8::from(row.is_heap),
        Err(_) => 4 + u8::from(row.is_heap),
    }
}
