//! The restricted Pod Security Standard, and a little more, for every container of every rendering.

use serde_json::{Value, json};

use crate::renderings::{RENDERINGS, Rendering};
use crate::{containers, pods};

#[test]
fn every_container_of_every_rendering_keeps_the_restricted_profile() {
    let mut looked_at = 0;
    for Rendering { combination, objects, .. } in RENDERINGS.iter() {
        for (name, pod) in pods(objects) {
            let wrong = wrong_in_pod(pod, name.starts_with("Pod/"));
            assert!(wrong.is_empty(), "{} {name}: {wrong:#?}", combination.name);
            looked_at += containers(pod).len();
        }
    }
    assert!(looked_at > 10);
}

#[test]
fn what_the_profile_forbids_is_found() {
    let objects = &RENDERINGS[0].objects;
    let (_, pod) = pods(objects).into_iter().find(|(name, _)| name.starts_with("Deployment/")).unwrap();
    let forbidden = [
        ("/automountServiceAccountToken", json!(true)),
        ("/hostNetwork", json!(true)),
        ("/volumes/0", json!({ "name": "host", "hostPath": { "path": "/" } })),
        ("/containers/0/securityContext/runAsNonRoot", json!(false)),
        ("/containers/0/securityContext/runAsUser", json!(0)),
        ("/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/containers/0/securityContext/readOnlyRootFilesystem", json!(false)),
        ("/containers/0/securityContext/privileged", json!(true)),
        ("/containers/0/securityContext/capabilities", json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] })),
        ("/containers/0/securityContext/seccompProfile", json!({ "type": "Unconfined" })),
        ("/containers/0/resources/limits", json!({})),
        ("/containers/0/livenessProbe", Value::Null),
        ("/containers/0/readinessProbe", Value::Null),
    ];
    for (place, value) in forbidden {
        let mut broken = pod.clone();
        let (parent, member) = place.rsplit_once('/').unwrap();
        match broken.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.insert(member.to_owned(), value)),
            list => list[member.parse::<usize>().unwrap()] = value,
        }
        assert!(!wrong_in_pod(&broken, false).is_empty(), "{place} passes");
    }
}

/// A pod that runs to its end has no probes.
fn wrong_in_pod(pod: &Value, ends: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if pod["automountServiceAccountToken"] != json!(false) {
        wrong.push("the service account's token is mounted".to_owned());
    }
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        if !pod[host].is_null() && pod[host] != json!(false) {
            wrong.push(format!("it has {host}"));
        }
    }
    let volumes = pod["volumes"].as_array().unwrap();
    let allowed = ["configMap", "emptyDir", "projected", "secret"];
    for volume in volumes {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        wrong.extend(
            kinds.filter(|kind| !allowed.contains(&kind.as_str())).map(|kind| format!("a volume is {kind}")),
        );
    }
    for container in containers(pod) {
        let found = wrong_in_container(container, ends);
        wrong.extend(found.into_iter().map(|what| format!("{}: {what}", container["name"])));
    }
    wrong
}

fn wrong_in_container(container: &Value, ends: bool) -> Vec<String> {
    let security = &container["securityContext"];
    let mut wrong = Vec::new();
    let mut expect = |right: bool, what: &str| {
        if !right {
            wrong.push(what.to_owned());
        }
    };
    expect(security["runAsNonRoot"] == json!(true), "may run as root");
    expect(security["runAsUser"].as_u64().is_some_and(|user| user > 0), "names no user");
    expect(security["allowPrivilegeEscalation"] == json!(false), "may gain privileges");
    expect(security["readOnlyRootFilesystem"] == json!(true), "may write to its image");
    expect(security["privileged"].is_null(), "is privileged");
    expect(security["capabilities"] == json!({ "drop": ["ALL"] }), "keeps capabilities");
    expect(security["seccompProfile"] == json!({ "type": "RuntimeDefault" }), "has no seccomp profile");
    for amount in ["cpu", "memory"] {
        expect(!container["resources"]["limits"][amount].is_null(), "has no limit");
        expect(!container["resources"]["requests"][amount].is_null(), "requests nothing");
    }
    if !ends {
        expect(!container["livenessProbe"].is_null(), "has no liveness probe");
        // A sidecar leaves it to the application whether the pod is ready.
        let stays = container["restartPolicy"] == json!("Always");
        expect(stays || !container["readinessProbe"].is_null(), "has no readiness probe");
    }
    wrong
}
