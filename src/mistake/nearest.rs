//! Which known name somebody may have meant.

/// A hint for an unknown name: the nearest known one, else all of them where they are few.
pub(crate) fn did_you_mean<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let close_enough = |name: &str| 2.max(wrong.chars().count().max(name.chars().count()) / 3);
    let nearest = known.iter().map(|name| (distance(wrong, name), *name)).min();
    match nearest {
        None => "there are none".into(),
        Some((distance, name)) if distance <= close_enough(name) => format!("did you mean {name:?}?"),
        Some(_) if known.len() <= 20 => format!("known: {}", known.join(", ")),
        Some(_) => "no known name is like it".into(),
    }
}

/// How many characters must be changed, added or removed to turn one text into the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, here) in one.to_lowercase().chars().enumerate() {
        let mut left = index + 1;
        let mut next = vec![left];
        for ((there, diagonal), above) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(here != *there)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_gets_the_list() {
        for (one, other, expected) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ab", "AB", 0)] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
        let known = || ["grace", "schedule"].into_iter();
        assert_eq!(did_you_mean("gracee", known()), "did you mean \"grace\"?");
        assert_eq!(did_you_mean("interval", known()), "known: grace, schedule");
        assert_eq!(did_you_mean("sched", known()), "known: grace, schedule");
        assert_eq!(did_you_mean("schedu", known()), "did you mean \"schedule\"?");
        assert_eq!(did_you_mean("grace", [].into_iter()), "there are none");
        let many: Vec<String> = (100..200).map(|number| number.to_string()).collect();
        let hint = did_you_mean("grace", many.iter().map(String::as_str));
        assert_eq!(hint, "no known name is like it");
    }
}
