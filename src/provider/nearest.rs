//! Which known name somebody may have meant.

/// A hint for an unknown name: the nearest known one, or all of them.
pub(super) fn did_you_mean<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let nearest = known.iter().map(|name| (distance(wrong, name), *name)).min();
    match nearest {
        None => "there are none".into(),
        Some((distance, name)) if distance <= 2.max(name.chars().count() / 3) => {
            format!("did you mean {name:?}?")
        }
        Some(_) => format!("known: {}", known.join(", ")),
    }
}

/// How many characters must be changed, added or removed to turn one text into the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, c) in one.chars().enumerate() {
        let mut next = vec![index + 1];
        for ((other_c, pair), left_above) in other.iter().zip(row.windows(2)).zip(&row) {
            let above = pair.last().copied().unwrap_or_default();
            let left = next.last().copied().unwrap_or_default();
            next.push((left_above + usize::from(c != *other_c)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_changes() {
        for (one, other, expected) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("abc", "abc", 0)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_near_name_is_offered_and_a_far_one_gets_the_list() {
        let known = || ["company_id", "merchant_id"].into_iter();
        assert_eq!(did_you_mean("compani_id", known()), "did you mean \"company_id\"?");
        assert_eq!(did_you_mean("x", known()), "known: company_id, merchant_id");
    }
}
