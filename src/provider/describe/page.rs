//! A portrait as a page: the same blocks for a terminal and for the documentation.

use super::portrait::{Portrait, Way};

/// One piece of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A list.
    Items(Vec<String>),
    /// A list whose order counts.
    Steps(Vec<String>),
    /// Lines as they are.
    Verbatim(Vec<String>),
}

impl Portrait {
    /// The page.
    pub fn page(&self) -> Vec<Block> {
        let mut page = self.needs();
        for way in &self.ways {
            page.extend(behaviour(way));
        }
        page.push(Block::Heading("What is sent".to_owned()));
        page.extend(self.requests.iter().map(|request| Block::Verbatim(request.lines())));
        page.extend(list("Not confirmed", &self.unconfirmed));
        page.extend(list("Written from", &self.sources));
        page
    }

    fn needs(&self) -> Vec<Block> {
        let mut page = vec![Block::Heading("Environments".to_owned())];
        page.push(Block::Items(
            self.environments
                .iter()
                .map(|it| {
                    format!("{}{}: {}", it.name, if it.default { " (default)" } else { "" }, it.base_url)
                })
                .collect(),
        ));
        let params = self.params.iter().map(|param| match &param.pattern {
            Some(pattern) => format!("`{}`: {}; matches `{pattern}`", param.name, param.description),
            None => format!("`{}`: {}", param.name, param.description),
        });
        page.extend(list("Parameters", &params.collect::<Vec<_>>()));
        if !self.choices.is_empty() {
            let choices: Vec<String> = self.choices.iter().map(|names| names.join(" and ")).collect();
            page.push(Block::Text(format!("Give either {}.", choices.join(", or "))));
        }
        let secrets = self.secrets.iter().map(|secret| {
            let optional = if secret.optional { " (optional)" } else { "" };
            format!("`{}`{optional}: {}", secret.name, secret.description)
        });
        page.extend(list("Further secrets", &secrets.collect::<Vec<_>>()));
        let fields = self.fields.iter().map(|name| {
            format!("`{name}`, in the entry's field of this name, or in the one that the credential says under `fields`")
        });
        page.extend(list("Published with the key", &fields.collect::<Vec<_>>()));
        page.extend(list("Limits", &self.limits));
        page
    }
}

fn list(heading: &str, items: &[String]) -> Vec<Block> {
    if items.is_empty() {
        return Vec::new();
    }
    vec![Block::Heading(heading.to_owned()), Block::Items(items.to_vec())]
}

fn behaviour(way: &Way) -> Vec<Block> {
    let mut page = vec![
        Block::Heading(format!("A rotation signed by {}", way.signed_by)),
        Block::Text(format!("Configured with {}.", way.configured)),
        Block::Steps(way.steps.clone()),
        Block::Text(format!("If the answer is lost: {}", way.if_answer_is_lost)),
        Block::Text(format!("The old key: {}", way.old_key)),
    ];
    page.extend(if way.a_person_is_asked.is_empty() {
        vec![Block::Text("No person is asked.".to_owned())]
    } else {
        vec![Block::Text("A person is asked when".to_owned()), Block::Items(way.a_person_is_asked.clone())]
    });
    page
}
