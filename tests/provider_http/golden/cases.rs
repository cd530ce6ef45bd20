//! One case for each way in which a definition is used, with the answers that its provider documents.

/// One definition, bound in one way.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) params: &'static [(&'static str, &'static str)],
    pub(super) itself: bool,
    pub(super) scheme: Option<&'static str>,
    pub(super) environment: Option<&'static str>,
    /// Status and body of answers to the regenerate call.
    pub(super) answers: &'static [(u16, &'static str)],
    /// Status and body of answers to the read.
    pub(super) read: &'static [(u16, &'static str)],
    pub(super) marker: &'static [(u16, &'static str)],
    /// Status and body of answers to the list; that of a list with pages is its last one.
    pub(super) list: &'static [(u16, &'static str)],
    /// Status and body of answers to the revocation.
    pub(super) revoke: &'static [(u16, &'static str)],
}

/// The usual: signed by another credential, with the first scheme, in the first environment.
const PLAIN: Case = Case {
    name: "",
    about: "",
    params: &[],
    itself: false,
    scheme: None,
    environment: None,
    answers: &[],
    read: &[],
    marker: &[],
    list: &[],
    revoke: &[],
};

/// The label that each of these calls gives its key, between what stands around it.
macro_rules! labelled {
    ($before:literal, $after:literal) => {
        concat!($before, "keyturn 019360f0-0000-7000-8000-000000000001", $after)
    };
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "adyen/api-key",
        about: "of a company, signed by another credential",
        params: &[("company_id", "Acme"), ("api_credential_id", "S2-1")],
        answers: &[
            (200, r#"{"apiKey":"NEW-KEY"}"#),
            (
                400,
                r#"{"type":"t","errorCode":"29_001","title":"Bad request","status":400,"requestId":"PSP1"}"#,
            ),
            (401, r#"{"errorCode":"00_401","title":"Unauthorized","status":401}"#),
            (403, r#"{"errorCode":"00_403","title":"Forbidden","status":403}"#),
            (
                422,
                r#"{"errorCode":"30_011","title":"Invalid","status":422,"invalidFields":[{"name":"id","value":"x"}]}"#,
            ),
            (500, r#"{"errorCode":"00_500","title":"Internal","status":500}"#),
            (204, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "adyen/api-key",
        about: "of a merchant, signed with Basic",
        params: &[("merchant_id", "Shop"), ("api_credential_id", "S2-1"), ("ws_user", "ws@Company.Acme")],
        scheme: Some("basic"),
        environment: Some("test"),
        ..PLAIN
    },
    Case {
        name: "adyen/api-key",
        about: "of a company, signed by itself",
        params: &[("company_id", "Acme"), ("api_credential_id", "S2-1")],
        itself: true,
        ..PLAIN
    },
    Case {
        name: "adyen/client-key",
        about: "of a company",
        params: &[("company_id", "Acme"), ("api_credential_id", "S2-1")],
        answers: &[
            (200, r#"{"clientKey":"NEW-KEY"}"#),
            (
                400,
                r#"{"type":"t","errorCode":"29_001","title":"Bad request","status":400,"requestId":"PSP1"}"#,
            ),
            (401, r#"{"errorCode":"00_401","title":"Unauthorized","status":401}"#),
            (403, r#"{"errorCode":"00_403","title":"Forbidden","status":403}"#),
            (
                422,
                r#"{"errorCode":"30_011","title":"Invalid","status":422,"invalidFields":[{"name":"id","value":"x"}]}"#,
            ),
            (500, r#"{"errorCode":"00_500","title":"Internal","status":500}"#),
            (204, ""),
        ],
        read: &[
            (200, r#"{"id":"S2-1","clientKey":"NEW-KEY","roles":[]}"#),
            (200, r#"{"id":"S2-1"}"#),
            (401, r#"{"errorCode":"00_401","title":"Unauthorized"}"#),
            (500, "{}"),
        ],
        ..PLAIN
    },
    Case {
        name: "adyen/own-client-key",
        about: "of the caller",
        answers: &[
            (200, r#"{"clientKey":"NEW-KEY"}"#),
            (
                400,
                r#"{"type":"t","errorCode":"29_001","title":"Bad request","status":400,"requestId":"PSP1"}"#,
            ),
            (401, r#"{"errorCode":"00_401","title":"Unauthorized","status":401}"#),
        ],
        read: &[(200, r#"{"id":"S2-1","clientKey":"NEW-KEY","roles":[]}"#)],
        ..PLAIN
    },
    Case {
        name: "adyen/webhook-hmac-key",
        about: "of a company",
        params: &[("company_id", "Acme"), ("webhook_id", "S2-W1")],
        answers: &[
            (200, r#"{"hmacKey":"NEW-KEY"}"#),
            (
                400,
                r#"{"type":"t","errorCode":"29_001","title":"Bad request","status":400,"requestId":"PSP1"}"#,
            ),
            (401, r#"{"errorCode":"00_401","title":"Unauthorized","status":401}"#),
            (403, r#"{"errorCode":"00_403","title":"Forbidden","status":403}"#),
            (
                422,
                r#"{"errorCode":"30_011","title":"Invalid","status":422,"invalidFields":[{"name":"id","value":"x"}]}"#,
            ),
            (500, r#"{"errorCode":"00_500","title":"Internal","status":500}"#),
            (204, ""),
        ],
        marker: &[
            (200, r#"{"id":"S2-W1","type":"standard","hmacKeyCheckValue":"C1D2E3"}"#),
            (200, r#"{"id":"S2-W1","type":"standard"}"#),
            (401, r#"{"errorCode":"00_401","title":"Unauthorized","status":401}"#),
            (500, "{}"),
        ],
        ..PLAIN
    },
    Case {
        name: "adyen/webhook-hmac-key",
        about: "of a merchant",
        params: &[("merchant_id", "Shop"), ("webhook_id", "S2-W1")],
        ..PLAIN
    },
    Case {
        name: "publicsquare/api-key",
        about: "signed by another credential",
        params: &[("id", "key_7Ay5mcUXAxwrN6wQEQUVEHBCJ")],
        answers: &[
            (200, r#"{"id":"key_1","key":"NEW-KEY","name":"n","permissions":[]}"#),
            (200, r#"{"id":"key_1","key":null,"name":"n"}"#),
            (400, r#"{"title":"Invalid","status":400,"errors":{"id":["wrong"]}}"#),
            (401, r#"{"title":"Unauthorized","status":401}"#),
            (403, r#"{"title":"Forbidden","status":403}"#),
            (404, r#"{"title":"Not found","status":404}"#),
            (409, ""),
            (429, ""),
            (500, ""),
        ],
        read: &[(200, r#"{"id":"key_1","key":"NEW-KEY"}"#), (200, r#"{"key":null}"#), (404, "")],
        ..PLAIN
    },
    Case {
        name: "publicsquare/api-key",
        about: "signed by itself",
        params: &[("id", "key_7Ay5mcUXAxwrN6wQEQUVEHBCJ")],
        itself: true,
        ..PLAIN
    },
    Case {
        name: "publicsquare/publishable-key",
        about: "signed by another credential",
        params: &[("id", "key_7Ay5mcUXAxwrN6wQEQUVEHBCJ")],
        answers: &[
            (200, r#"{"id":"key_1","key":"NEW-KEY","name":"n","permissions":[]}"#),
            (200, r#"{"id":"key_1","key":null,"name":"n"}"#),
        ],
        read: &[(200, r#"{"id":"key_1","key":"NEW-KEY"}"#), (200, r#"{"key":null}"#), (404, "")],
        ..PLAIN
    },
    Case {
        name: "spritz/integrator-secret",
        about: "signed by itself",
        params: &[("integrator_key", "int_123")],
        itself: true,
        answers: &[
            (200, r#"{"secret":"NEW-KEY","oldSecretExpiresAt":"2023-11-14T23:13:20.000Z"}"#),
            (200, r#"{"secret":"NEW-KEY"}"#),
            (401, r#"{"type":"urn:problem-type:auth:unauthorized","title":"Unauthorized","status":401}"#),
            (404, r#"{"title":"Not found","status":404}"#),
            (409, r#"{"type":"urn:problem-type:resource:conflict","title":"Conflict","status":409}"#),
            (
                500,
                r#"{"type":"urn:problem-type:system:internal-error","title":"Internal","status":500,"retryable":true}"#,
            ),
        ],
        ..PLAIN
    },
    Case {
        name: "azure/storage-account-key",
        about: "signed by another credential",
        params: &[
            ("subscription_id", "00000000-0000-4000-8000-000000000001"),
            ("resource_group", "group"),
            ("account_name", "account1"),
            ("tenant_id", "00000000-0000-4000-8000-000000000002"),
            ("client_id", "00000000-0000-4000-8000-000000000003"),
        ],
        answers: &[
            (
                200,
                r#"{"keys":[{"keyName":"key1","value":"OTHER","permissions":"FULL"},{"keyName":"key2","value":"NEW-KEY","permissions":"FULL"}]}"#,
            ),
            (200, r#"{"keys":[{"keyName":"key1","value":"OTHER","permissions":"FULL"}]}"#),
            (400, r#"{"error":{"code":"InvalidKeyName","message":"no such key"}}"#),
            (403, r#"{"error":{"code":"AuthorizationFailed","message":"no action regenerateKey"}}"#),
            (404, r#"{"error":{"code":"ResourceNotFound","message":"no such account"}}"#),
            (409, r#"{"error":{"code":"AccountIsDisabled","message":"disabled"}}"#),
            (429, r#"{"error":{"code":"TooManyRequests","message":"slow down"}}"#),
            (500, ""),
        ],
        read: &[
            (200, r#"{"keys":[{"keyName":"key1","value":"OTHER"},{"keyName":"key2","value":"NEW-KEY"}]}"#),
            (403, r#"{"error":{"code":"AuthorizationFailed","message":"no action listKeys"}}"#),
        ],
        ..PLAIN
    },
    Case {
        name: "spritz/webhook-secret",
        about: "signed by another credential",
        params: &[("integrator_key", "int_123")],
        answers: &[
            (200, r#"{"secretConfigured":true}"#),
            (200, ""),
            (401, r#"{"type":"urn:problem-type:auth:unauthorized","title":"Unauthorized","status":401}"#),
            (
                400,
                r#"{"type":"urn:problem-type:validation:invalid-fields","title":"Invalid","status":400,"errors":[{"field":"secret","message":"NEW-KEY is short"}]}"#,
            ),
            (500, r#"{"type":"urn:problem-type:system:internal-error","title":"NEW-KEY","status":500}"#),
        ],
        ..PLAIN
    },
    Case {
        name: "svix/endpoint-secret",
        about: "signed by another credential",
        params: &[("app_id", "app_1"), ("endpoint_id", "ep_1")],
        answers: &[
            (204, ""),
            (401, r#"{"code":"authentication_failed","detail":"Invalid token"}"#),
            (404, r#"{"code":"not_found","detail":"Entity not found"}"#),
            (
                422,
                r#"{"detail":[{"loc":["body","key"],"msg":"string does not match pattern","type":"value_error"}]}"#,
            ),
            (429, r#"{"code":"rate_limit","detail":"slow down"}"#),
            (500, ""),
        ],
        read: &[(200, r#"{"key":"NEW-KEY"}"#), (404, r#"{"code":"not_found","detail":"Entity not found"}"#)],
        ..PLAIN
    },
    Case {
        name: "broadcom/oauth-client-secret",
        about: "signed by another credential",
        params: &[
            ("api_host", "console.example.com"),
            ("org_id", "00000000-0000-4000-8000-000000000001"),
            ("oauth_app_id", "app_1"),
            ("rotator_app_id", "rotator"),
        ],
        answers: &[
            (200, ""),
            (
                400,
                r#"{"errorCode":"invalid","message":"Invalid request body","requestId":"r1","statusCode":400}"#,
            ),
            (403, r#"{"message":"forbidden","requestId":"r2","statusCode":403}"#),
            (409, r#"{"message":"conflict","requestId":"r3","statusCode":409}"#),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "broadcom/oauth-client-secret",
        about: "signed by itself",
        params: &[
            ("api_host", "console.example.com"),
            ("org_id", "00000000-0000-4000-8000-000000000001"),
            ("oauth_app_id", "rotator"),
            ("rotator_app_id", "rotator"),
        ],
        itself: true,
        ..PLAIN
    },
    Case {
        name: "cloudflare/api-token",
        about: "of an account, signed by another credential",
        params: &[("account_id", "a1b2"), ("account_token_id", "t1")],
        answers: &[
            (200, r#"{"success":true,"errors":[],"messages":[],"result":"NEW-KEY"}"#),
            (200, r#"{"success":true,"errors":[],"result":null}"#),
            (200, r#"{"success":false,"errors":[{"code":1000,"message":"failed"}],"result":null}"#),
            (400, r#"{"success":false,"errors":[{"code":1001,"message":"invalid"}]}"#),
            (403, r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#),
            (429, r#"{"success":false,"errors":[{"code":10429,"message":"rate limited"}]}"#),
            (502, "<html>"),
        ],
        ..PLAIN
    },
    Case {
        name: "cloudflare/api-token",
        about: "of a user, signed by itself",
        params: &[("user_token_id", "t1")],
        itself: true,
        ..PLAIN
    },
    Case {
        name: "cloudflare/turnstile-secret",
        about: "signed by another credential",
        params: &[("account_id", "a1b2"), ("sitekey", "0x4AAA")],
        answers: &[
            (
                200,
                r#"{"success":true,"errors":[],"messages":[],"result":{"sitekey":"0x4AAA","secret":"NEW-KEY"}}"#,
            ),
            (200, r#"{"success":true,"errors":[],"result":null}"#),
            (200, r#"{"success":false,"errors":[{"code":1000,"message":"failed"}],"result":null}"#),
            (400, r#"{"success":false,"errors":[{"code":1001,"message":"invalid"}]}"#),
            (403, r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#),
            (429, r#"{"success":false,"errors":[{"code":10429,"message":"rate limited"}]}"#),
            (502, "<html>"),
        ],
        ..PLAIN
    },
    Case {
        name: "cloudflare/access-service-token",
        about: "signed by another credential",
        params: &[("account_id", "a1b2"), ("service_token_id", "f174e90a-fafe-4643-bbbc-4a0ed4fc8415")],
        answers: &[
            (
                200,
                r#"{"success":true,"errors":[],"messages":[],"result":{"client_id":"c.access","client_secret":"NEW-KEY"}}"#,
            ),
            (200, r#"{"success":true,"errors":[],"result":{"client_secret":"NEW-KEY"}}"#),
            (200, r#"{"success":true,"errors":[],"result":null}"#),
            (200, r#"{"success":false,"errors":[{"code":1000,"message":"failed"}],"result":null}"#),
            (400, r#"{"success":false,"errors":[{"code":1001,"message":"invalid"}]}"#),
            (403, r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#),
            (429, r#"{"success":false,"errors":[{"code":10429,"message":"rate limited"}]}"#),
            (502, "<html>"),
        ],
        ..PLAIN
    },
    Case {
        name: "confluent/cloud-api-key",
        about: "signed by another key",
        params: &[
            ("management_key", "ABCDEFGH12345678"),
            ("owner", "sa-a83k9b"),
            ("resource_id", "lkc-c29js0"),
            ("label", "keyturn"),
        ],
        answers: &[
            (202, r#"{"id":"IJKLMNOP12345678","spec":{"secret":"NEW-KEY","display_name":"n"}}"#),
            (202, r#"{"spec":{"secret":"NEW-KEY","display_name":"n"}}"#),
            (
                400,
                r#"{"errors":[{"id":"r","status":"400","code":"invalid","title":"Bad Request","detail":"d"}]}"#,
            ),
            (401, r#"{"errors":[{"id":"r","status":"401","code":"user_unauthenticated"}]}"#),
            (402, r#"{"errors":[{"id":"r","status":"402","code":"over_quota","title":"Over Quota"}]}"#),
            (403, r#"{"errors":[{"id":"r","status":"403","code":"user_unauthorized"}]}"#),
            (422, r#"{"errors":[{"id":"r","status":"422","title":"Validation Failed"}]}"#),
            (429, ""),
            (500, r#"{"errors":[{"id":"r","status":"500","code":"out_of_gas"}]}"#),
        ],
        list: &[
            (
                200,
                labelled!(
                    r#"{"metadata":{"next":null},"data":[{"id":"IJKLMNOP12345678","spec":{"display_name":""#,
                    r#""}}]}"#
                ),
            ),
            (403, r#"{"errors":[{"id":"r","status":"403","code":"user_unauthorized"}]}"#),
        ],
        revoke: &[(204, ""), (404, r#"{"errors":[{"id":"r","status":"404"}]}"#), (403, "")],
        ..PLAIN
    },
    Case {
        name: "slack/configuration-token",
        about: "signed by itself",
        itself: true,
        answers: &[
            (
                200,
                r#"{"ok":true,"token":"xoxe.xoxp-1","refresh_token":"NEW-KEY","team_id":"T","user_id":"U","iat":1633095660,"exp":1633138860}"#,
            ),
            (200, r#"{"ok":true,"refresh_token":"NEW-KEY","team_id":"T"}"#),
            (200, r#"{"ok":false,"error":"invalid_refresh_token"}"#),
            (200, r#"{"ok":false,"error":"ratelimited"}"#),
            (200, r#"{"ok":false,"error":"internal_error"}"#),
            (429, ""),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "auth0/client-secret",
        about: "signed by another credential",
        params: &[
            ("domain", "acme.eu.auth0.com"),
            ("client_id", "rotated"),
            ("management_client_id", "manager"),
        ],
        answers: &[
            (200, r#"{"client_id":"rotated","client_secret":"NEW-KEY"}"#),
            (
                400,
                r#"{"statusCode":400,"error":"Bad Request","message":"invalid","errorCode":"invalid_uri"}"#,
            ),
            (401, r#"{"statusCode":401,"error":"Unauthorized","message":"Invalid token"}"#),
            (
                403,
                r#"{"statusCode":403,"error":"Forbidden","message":"Insufficient scope","errorCode":"insufficient_scope"}"#,
            ),
            (404, r#"{"statusCode":404,"error":"Not Found","message":"no such client"}"#),
            (429, r#"{"statusCode":429,"error":"Too Many Requests"}"#),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "auth0/client-secret",
        about: "signed by a Management API token",
        params: &[("domain", "acme.eu.auth0.com"), ("client_id", "rotated")],
        scheme: Some("header"),
        ..PLAIN
    },
    Case {
        name: "gitlab/personal-access-token",
        about: "signed by itself",
        itself: true,
        answers: &[
            (
                200,
                r#"{"id":34992,"name":"n","revoked":false,"active":true,"expires_at":"2023-12-14","token":"NEW-KEY"}"#,
            ),
            (400, r#"{"message":"400 Bad request"}"#),
            (401, r#"{"message":"401 Unauthorized"}"#),
            (403, r#"{"error":"insufficient_scope","error_description":"more privileges are needed"}"#),
            (404, r#"{"message":"404 Not Found"}"#),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "gitlab/resource-access-token",
        about: "of a project, signed by itself",
        params: &[("project_id", "42")],
        itself: true,
        answers: &[(
            200,
            r#"{"id":34992,"name":"n","revoked":false,"active":true,"expires_at":"2023-12-14","token":"NEW-KEY"}"#,
        )],
        ..PLAIN
    },
    Case {
        name: "gitlab/resource-access-token",
        about: "of a group, signed by itself",
        params: &[("group_id", "7")],
        itself: true,
        ..PLAIN
    },
    Case {
        name: "heroku/client-secret",
        about: "signed by another credential",
        params: &[("client_id", "01234567-89ab-cdef-0123-456789abcdef")],
        answers: &[
            (200, r#"{"id":"0","name":"n","secret":"NEW-KEY"}"#),
            (401, r#"{"id":"unauthorized","message":"Invalid credentials provided."}"#),
            (403, r#"{"id":"forbidden","message":"no access"}"#),
            (404, r#"{"id":"not_found","message":"no such thing"}"#),
            (429, r#"{"id":"rate_limit","message":"too many"}"#),
            (503, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "heroku/authorization-token",
        about: "signed by another credential",
        params: &[("authorization_id", "01234567-89ab-cdef-0123-456789abcdef")],
        answers: &[
            (200, r#"{"id":"0","access_token":{"id":"1","token":"NEW-KEY"}}"#),
            (200, r#"{"id":"0","access_token":null}"#),
            (401, r#"{"id":"unauthorized","message":"Invalid credentials provided."}"#),
        ],
        ..PLAIN
    },
    Case {
        name: "heroku/authorization-token",
        about: "signed by itself",
        params: &[("authorization_id", "01234567-89ab-cdef-0123-456789abcdef")],
        itself: true,
        ..PLAIN
    },
    Case {
        name: "pagerduty/calendar-key",
        about: "signed by another credential",
        params: &[("user_id", "PXPGF42")],
        answers: &[
            (200, r#"{"private_url_key":"NEW-KEY"}"#),
            (401, r#"{"error":{"message":"Unauthorized","code":2006}}"#),
            (404, r#"{"error":{"message":"Not Found","code":2100,"errors":["no such user"]}}"#),
            (429, ""),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "square/webhook-signature-key",
        about: "signed by another credential",
        params: &[("subscription_id", "wbhk_1")],
        answers: &[
            (200, r#"{"signature_key":"NEW-KEY"}"#),
            (200, r#"{"errors":[]}"#),
            (
                400,
                r#"{"errors":[{"category":"INVALID_REQUEST_ERROR","code":"BAD_REQUEST","detail":"no","field":"idempotency_key"}]}"#,
            ),
            (401, r#"{"errors":[{"category":"AUTHENTICATION_ERROR","code":"UNAUTHORIZED","detail":"no"}]}"#),
            (429, r#"{"errors":[{"category":"RATE_LIMIT_ERROR","code":"RATE_LIMITED"}]}"#),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "square/webhook-signature-key",
        about: "in the sandbox",
        params: &[("subscription_id", "wbhk_1")],
        environment: Some("sandbox"),
        ..PLAIN
    },
    Case {
        name: "plaid/item-access-token",
        about: "signed by itself",
        params: &[("client_id", "c1")],
        itself: true,
        answers: &[
            (200, r#"{"new_access_token":"NEW-KEY","request_id":"r1"}"#),
            (
                400,
                r#"{"error_type":"INVALID_INPUT","error_code":"INVALID_ACCESS_TOKEN","error_message":"could not find it","display_message":null,"request_id":"r1"}"#,
            ),
            (
                400,
                r#"{"error_code":"INVALID_API_KEYS","error_message":"wrong SIGNER-SECRET","request_id":"r2"}"#,
            ),
            (429, r#"{"error_code":"RATE_LIMIT","error_message":"slow down"}"#),
            (500, r#"{"error_code":"INTERNAL_SERVER_ERROR","error_message":"sorry"}"#),
        ],
        ..PLAIN
    },
    Case {
        name: "lithic/auth-stream-secret",
        about: "signed by another credential",
        answers: &[
            (200, ""),
            (200, "{}"),
            (204, ""),
            (401, r#"{"debugging_request_id":"d1","message":"no"}"#),
            (429, r#"{"message":"slow down"}"#),
            (500, ""),
        ],
        read: &[(200, r#"{"secret":"NEW-KEY"}"#), (200, "{}"), (401, r#"{"message":"no"}"#)],
        ..PLAIN
    },
    Case {
        name: "hcp-terraform/team-token",
        about: "signed by another credential",
        params: &[("team_id", "team-BUHBEM97xboT8TVz")],
        answers: &[
            (
                201,
                r#"{"data":{"id":"4111","type":"authentication-tokens","attributes":{"token":"NEW-KEY","expired-at":null}}}"#,
            ),
            (200, r#"{"data":{"attributes":{"token":"NEW-KEY"}}}"#),
            (201, r#"{"data":{"attributes":{"token":null}}}"#),
            (404, r#"{"errors":[{"status":"404","title":"not found"}]}"#),
            (422, r#"{"errors":[{"status":"422","title":"invalid","detail":"expired-at"}]}"#),
            (429, ""),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "openai/webhook-secret",
        about: "signed by another credential",
        params: &[("webhook_endpoint_id", "we_1")],
        answers: &[
            (
                200,
                r#"{"id":"we_1","object":"webhook_endpoint","signing_secret":"NEW-KEY","signing_secret_hint":"...KEY"}"#,
            ),
            (
                401,
                r#"{"error":{"message":"Incorrect API key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            ),
            (404, r#"{"error":{"message":"no such endpoint","code":null}}"#),
            (429, r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#),
            (500, ""),
        ],
        marker: &[
            (200, r#"{"id":"we_1","object":"webhook_endpoint","updated_at":1764172800}"#),
            (200, r#"{"id":"we_1","object":"webhook_endpoint"}"#),
            (404, r#"{"error":{"message":"no such endpoint","code":null}}"#),
        ],
        ..PLAIN
    },
    Case {
        name: "snyk/app-client-secret",
        about: "signed by another credential",
        params: &[
            ("org_id", "4a18d42f-0706-4ad0-b127-24078731fbed"),
            ("app_id", "dc9a8b3f-71bc-4f11-b1ce-1f4b1e6a1d0c"),
        ],
        answers: &[
            (
                200,
                r#"{"data":{"id":"dc9a8b3f-71bc-4f11-b1ce-1f4b1e6a1d0c","type":"app","attributes":{"client_id":"c","client_secret":"NEW-KEY"}}}"#,
            ),
            (
                401,
                r#"{"jsonapi":{"version":"1.0"},"errors":[{"id":"e1","status":"401","title":"Unauthorized","detail":"no"}]}"#,
            ),
            (404, r#"{"errors":[{"id":"e2","status":"404","title":"Not Found","detail":"no such app"}]}"#),
            (429, ""),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "clerk/oauth-application-secret",
        about: "signed by another credential",
        params: &[("oauth_application_id", "oauthapp_123")],
        answers: &[
            (200, r#"{"id":"oauthapp_123","client_id":"c","client_secret":"NEW-KEY"}"#),
            (
                403,
                r#"{"errors":[{"code":"authorization_invalid","message":"no","long_message":"not allowed"}],"clerk_trace_id":"t1"}"#,
            ),
            (404, r#"{"errors":[{"code":"resource_not_found","message":"no"}]}"#),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "insforge/api-key",
        about: "signed by itself",
        params: &[("host", "acme.region.insforge.app")],
        itself: true,
        answers: &[
            (
                200,
                r#"{"success":true,"message":"rotated","apiKey":"NEW-KEY","oldKeyExpiresAt":"2023-11-15T22:13:20.000Z"}"#,
            ),
            (200, r#"{"success":false,"message":"failed"}"#),
            (400, r#"{"error":"INVALID_INPUT","message":"wrong","statusCode":400,"nextActions":"look"}"#),
            (403, r#"{"error":"FORBIDDEN","message":"no"}"#),
            (500, r#"{"error":"INTERNAL_ERROR","message":"sorry"}"#),
        ],
        ..PLAIN
    },
    Case {
        name: "insforge/api-key",
        about: "signed by another credential",
        params: &[("host", "acme.region.insforge.app")],
        ..PLAIN
    },
    Case {
        name: "insforge/anon-key",
        about: "signed by another credential",
        params: &[("host", "acme.region.insforge.app")],
        answers: &[(
            200,
            r#"{"success":true,"message":"rotated","anonKey":"NEW-KEY","oldKeyExpiresAt":"2023-11-15T22:13:20.000Z"}"#,
        )],
        ..PLAIN
    },
    Case {
        name: "aiinbx/webhook-secret",
        about: "signed by another credential",
        params: &[("endpoint_id", "wh_0123456789abcdef0123456789abcdef")],
        answers: &[
            (200, r#"{"secret":"NEW-KEY","previous_secret_expires_at":"2023-11-15T22:13:20Z"}"#),
            (200, r#"{"secret":"NEW-KEY","previous_secret_expires_at":null}"#),
            (
                400,
                r#"{"type":"t","title":"Invalid","status":400,"detail":"d","code":"invalid","request_id":"r1","issues":[{"path":"grace_seconds","message":"m"}]}"#,
            ),
            (401, r#"{"title":"Unauthorized","code":"unauthorized"}"#),
            (403, r#"{"title":"Forbidden","code":"forbidden"}"#),
            (404, r#"{"title":"Not found","code":"not_found"}"#),
            (429, ""),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "coss/webhook-secret",
        about: "of an own endpoint",
        params: &[("webhook_endpoint_id", "whep_1")],
        answers: &[
            (
                200,
                r#"{"object":"webhook_endpoint","id":"whep_1","secret":"NEW-KEY","previous_secret_expires_at":"2023-11-15T22:13:20.000Z"}"#,
            ),
            (
                401,
                r#"{"error":{"type":"authentication_error","code":"invalid_api_key","message":"no","request_id":"r1"}}"#,
            ),
            (404, r#"{"error":{"code":"not_found","message":"no such endpoint"}}"#),
            (429, ""),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "coss/webhook-secret",
        about: "of a customer's endpoint",
        params: &[("application", "customer_8812"), ("hook_endpoint_id", "hep_1")],
        ..PLAIN
    },
    Case {
        name: "solidgate/api-key",
        about: "signed by another credential",
        params: &[("id", "akey_163f12")],
        answers: &[
            (
                200,
                r#"{"id":"akey_163f12","name":"n","rotate_secret":"NEW-KEY","rotate_at":"2023-11-15T22:13:20Z"}"#,
            ),
            (400, r#"{"error":{"code":"invalid","message":"no"}}"#),
            (401, ""),
            (409, ""),
            (429, ""),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "abyssale/signing-secret",
        about: "signed by another credential",
        answers: &[
            (200, r#"{"secret":"NEW-KEY","created_at_ts":1755561234}"#),
            (401, r#"{"message":"Unauthorized: missing or invalid API key.","id":"unauthorized"}"#),
            (409, r#"{"message":"already rotated","id":"conflict"}"#),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "sendgrid/api-key",
        about: "signed by another key",
        params: &[("label", "keyturn"), ("scopes", "mail.send, alerts.read")],
        answers: &[
            (201, r#"{"api_key":"NEW-KEY","api_key_id":"k1","name":"n","scopes":["mail.send"]}"#),
            (400, r#"{"errors":[{"field":"name","message":"missing required argument"}]}"#),
            (401, r#"{"errors":[{"field":null,"message":"authorization required"}]}"#),
            (403, r#"{"errors":[{"field":null,"message":"Cannot create more than 100 API Keys"}]}"#),
            (429, r#"{"errors":[{"field":null,"message":"too many requests"}]}"#),
            (500, ""),
        ],
        list: &[
            (
                200,
                labelled!(
                    r#"{"result":[{"name":"by hand","api_key_id":"k0"},{"name":""#,
                    r#"","api_key_id":"k1"}]}"#
                ),
            ),
            (200, labelled!(r#"{"result":[{"name":"copy of "#, r#"","api_key_id":"k2"}]}"#)),
            (200, labelled!(r#"{"result":[{"name":""#, r#""}]}"#)),
            (200, "{}"),
            (401, r#"{"errors":[{"field":null,"message":"authorization required"}]}"#),
            (429, ""),
            (500, ""),
        ],
        revoke: &[
            (204, ""),
            (404, r#"{"errors":[{"field":null,"message":"unable to find API Key"}]}"#),
            (401, r#"{"errors":[{"field":null,"message":"authorization required"}]}"#),
            (403, r#"{"errors":[{"field":null,"message":"access forbidden"}]}"#),
            (429, ""),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "sendgrid/api-key",
        about: "in the EU, signed by itself",
        params: &[("label", "keyturn"), ("scopes", "mail.send")],
        itself: true,
        environment: Some("eu"),
        ..PLAIN
    },
    Case {
        name: "grafana/service-account-token",
        about: "signed by another token",
        params: &[("host", "acme.grafana.net"), ("service_account_id", "7"), ("label", "keyturn")],
        answers: &[
            (200, r#"{"id":17,"name":"n","key":"NEW-KEY"}"#),
            (
                400,
                r#"{"message":"bad request data","messageId":"serviceaccounts.ErrBadRequest","traceID":"t1"}"#,
            ),
            (
                401,
                r#"{"message":"Unauthorized","messageId":"auth.unauthorized","statusCode":401,"traceID":""}"#,
            ),
            (403, r#"{"message":"You'll need additional permissions","accessErrorId":"ACE1"}"#),
            (404, r#"{"message":"service account not found"}"#),
            (409, r#"{"message":"service account token name already exists"}"#),
            (500, ""),
        ],
        list: &[
            (200, labelled!(r#"[{"id":16,"name":"by hand"},{"id":17,"name":""#, r#"","hasExpired":false}]"#)),
            (200, "[]"),
            (200, "null"),
            (403, r#"{"message":"You'll need additional permissions"}"#),
        ],
        revoke: &[
            (200, r#"{"message":"Service account token deleted"}"#),
            (404, r#"{"message":"service account token not found"}"#),
            (403, r#"{"message":"You'll need additional permissions"}"#),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "linode/personal-access-token",
        about: "signed by another token",
        params: &[("label", "keyturn"), ("scopes", "domains:read_write linodes:read_only")],
        answers: &[
            (200, r#"{"id":123,"label":"l","scopes":"domains:read_write","token":"NEW-KEY","expiry":null}"#),
            (400, r#"{"errors":[{"field":"scopes","reason":"invalid scope"}]}"#),
            (401, r#"{"errors":[{"reason":"Invalid Token"}]}"#),
            (429, r#"{"errors":[{"reason":"Too many requests"}]}"#),
            (500, ""),
        ],
        list: &[
            (200, labelled!(r#"{"data":[{"id":123,"label":""#, r#""}],"page":1,"pages":1,"results":1}"#)),
            (200, r#"{"data":[],"page":1}"#),
            (401, r#"{"errors":[{"reason":"Invalid Token"}]}"#),
        ],
        revoke: &[(200, "{}"), (404, r#"{"errors":[{"reason":"Not found"}]}"#), (401, ""), (500, "")],
        ..PLAIN
    },
    Case {
        name: "datadog/api-key",
        about: "in the EU, signed by another key",
        params: &[("label", "keyturn")],
        environment: Some("eu1"),
        answers: &[
            (
                201,
                r#"{"data":{"type":"api_keys","id":"a-1","attributes":{"key":"NEW-KEY","name":"n","last4":"abcd"}}}"#,
            ),
            (201, r#"{"data":{"type":"api_keys","attributes":{"key":"NEW-KEY"}}}"#),
            (201, r#"{"data":{"type":"api_keys","id":"NEW-KEY","attributes":{"key":"NEW-KEY"}}}"#),
            (400, r#"{"errors":["Bad Request"]}"#),
            (403, r#"{"errors":["Forbidden"]}"#),
            (429, r#"{"errors":["Rate limited"]}"#),
            (500, ""),
        ],
        list: &[
            (200, r#"{"data":[],"meta":{"page":{"total_filtered_count":0}}}"#),
            (403, r#"{"errors":["Forbidden"]}"#),
        ],
        revoke: &[(204, ""), (404, r#"{"errors":["Not Found"]}"#), (403, r#"{"errors":["Forbidden"]}"#)],
        ..PLAIN
    },
    Case {
        name: "datadog/api-key",
        about: "signed by itself",
        params: &[("label", "keyturn")],
        itself: true,
        ..PLAIN
    },
    Case {
        name: "mailgun/api-key",
        about: "signed by another key",
        params: &[("label", "keyturn"), ("role", "developer")],
        answers: &[
            (
                200,
                r#"{"message":"great success","key":{"id":"k-1","description":"d","kind":"user","secret":"NEW-KEY"}}"#,
            ),
            (400, r#"{"message":"Bad Request"}"#),
            (401, r#"{"message":"Unauthorized"}"#),
            (403, r#"{"message":"Forbidden"}"#),
            (429, r#"{"message":"Too Many Requests"}"#),
            (500, r#"{"message":"Internal Server Error"}"#),
        ],
        list: &[
            (200, labelled!(r#"{"total_count":1,"items":[{"id":"k-1","description":""#, r#""}]}"#)),
            (401, r#"{"message":"Unauthorized"}"#),
        ],
        revoke: &[(200, r#"{"message":"key deleted"}"#), (404, r#"{"message":"key not found"}"#), (401, "")],
        ..PLAIN
    },
    Case {
        name: "publicsquare/restricted-key",
        about: "signed by another key",
        params: &[("label", "keyturn"), ("permissions", "business:read, api-key:read")],
        answers: &[
            (201, r#"{"id":"key_1","key":"NEW-KEY","name":"n","permissions":[]}"#),
            (201, r#"{"id":"key_1","key":null,"name":"n","permissions":[]}"#),
            (400, r#"{"title":"Invalid","status":400,"errors":{"name":["too long"]}}"#),
            (401, r#"{"title":"Unauthorized","status":401}"#),
            (403, r#"{"title":"Forbidden","status":403}"#),
            (409, ""),
            (429, ""),
            (500, ""),
        ],
        list: &[
            (
                200,
                r#"{"data":[],"pagination":{"total_items":0,"page_number":1,"page_size":100,"total_pages":0}}"#,
            ),
            (200, r#"{"pagination":{}}"#),
            (401, r#"{"title":"Unauthorized","status":401}"#),
            (403, r#"{"title":"Forbidden","status":403}"#),
        ],
        revoke: &[
            (204, ""),
            (404, r#"{"title":"Not found","status":404}"#),
            (403, r#"{"title":"Forbidden","status":403}"#),
        ],
        ..PLAIN
    },
    Case {
        name: "okta/client-secret",
        about: "of an application",
        params: &[("domain", "acme.okta.com"), ("app_id", "0oa1")],
        answers: &[
            (201, r#"{"id":"ocs1","status":"ACTIVE","client_secret":"NEW-KEY","secret_hash":"h"}"#),
            (
                400,
                r#"{"errorCode":"E0000001","errorSummary":"Api validation failed","errorId":"oae1","errorCauses":[{"errorSummary":"You have reached the maximum number of client secrets"}]}"#,
            ),
            (401, r#"{"errorCode":"E0000011","errorSummary":"Invalid token provided","errorId":"oae2"}"#),
            (403, r#"{"errorCode":"E0000006","errorSummary":"You do not have permission","errorId":"oae3"}"#),
            (
                404,
                r#"{"errorCode":"E0000007","errorSummary":"Not found: Resource not found","errorId":"oae4"}"#,
            ),
            (
                429,
                r#"{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit","errorId":"oae5"}"#,
            ),
            (500, ""),
        ],
        revoke: &[
            (200, r#"{"id":"ocs1","status":"INACTIVE"}"#),
            (204, ""),
            (400, r#"{"errorCode":"E0000001","errorSummary":"Api validation failed","errorId":"oae6"}"#),
            (403, r#"{"errorCode":"E0000006","errorSummary":"You do not have permission","errorId":"oae3"}"#),
        ],
        ..PLAIN
    },
    Case {
        name: "microsoft/application-password",
        about: "signed by another application",
        params: &[
            ("object_id", "11111111-2222-3333-4444-555555555555"),
            ("tenant_id", "99999999-8888-7777-6666-555555555555"),
            ("management_client_id", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
            ("label", "keyturn"),
        ],
        answers: &[
            (
                200,
                r#"{"displayName":"d","endDateTime":"2024-05-12T22:13:20Z","hint":"NEW","keyId":"f0b0b335","secretText":"NEW-KEY"}"#,
            ),
            (
                400,
                r#"{"error":{"code":"Request_BadRequest","message":"Invalid value","innerError":{"request-id":"r1"}}}"#,
            ),
            (401, r#"{"error":{"code":"InvalidAuthenticationToken","message":"Access token is empty."}}"#),
            (403, r#"{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges"}}"#),
            (404, r#"{"error":{"code":"Request_ResourceNotFound","message":"Resource does not exist"}}"#),
            (429, r#"{"error":{"code":"TooManyRequests","message":"Too many requests"}}"#),
            (503, ""),
        ],
        list: &[
            (
                200,
                labelled!(
                    r#"{"passwordCredentials":[{"keyId":"f0b0b335","displayName":""#,
                    r#"","hint":"NEW"}]}"#
                ),
            ),
            (200, r#"{"passwordCredentials":[{"keyId":"e1","displayName":null}]}"#),
            (403, r#"{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges"}}"#),
        ],
        revoke: &[
            (204, ""),
            (
                400,
                r#"{"error":{"code":"Request_BadRequest","message":"No password credential found with keyId"}}"#,
            ),
            (404, ""),
            (503, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "mongodb-atlas/service-account-secret",
        about: "signed by itself",
        params: &[
            ("org_id", "0123456789abcdef01234567"),
            ("client_id", "mdb_sa_id_0123456789abcdef01234567"),
            ("management_client_id", "mdb_sa_id_0123456789abcdef01234567"),
        ],
        itself: true,
        answers: &[
            (
                201,
                r#"{"id":"s1","secret":"NEW-KEY","createdAt":"2023-11-14T22:13:20Z","expiresAt":"2024-02-12T22:13:20Z"}"#,
            ),
            (400, r#"{"error":400,"errorCode":"INVALID_ATTRIBUTE","reason":"Bad Request","detail":"wrong"}"#),
            (401, r#"{"error":401,"reason":"Unauthorized","detail":"no"}"#),
            (403, r#"{"error":403,"errorCode":"USER_CANNOT_ACCESS_ORG","reason":"Forbidden"}"#),
            (409, r#"{"error":409,"errorCode":"TOO_MANY_SECRETS","reason":"Conflict"}"#),
            (500, ""),
        ],
        revoke: &[(204, ""), (404, r#"{"error":404,"reason":"Not Found"}"#), (403, ""), (500, "")],
        ..PLAIN
    },
    Case {
        name: "neon/organization-api-key",
        about: "signed by another key",
        params: &[("org_id", "org-bold-sky-12345678"), ("label", "keyturn")],
        answers: &[
            (200, r#"{"id":3083288,"key":"NEW-KEY","name":"n","created_at":"2023-11-14T22:13:20Z"}"#),
            (401, r#"{"request_id":"r1","code":"","message":"authentication required"}"#),
            (403, r#"{"request_id":"r2","code":"","message":"not allowed"}"#),
            (429, ""),
            (500, ""),
        ],
        list: &[
            (200, labelled!(r#"[{"id":3083288,"name":""#, r#"","last_used_at":null}]"#)),
            (401, r#"{"request_id":"r1","code":"","message":"authentication required"}"#),
        ],
        revoke: &[(200, r#"{"id":3083288,"name":"n","revoked":true}"#), (404, ""), (403, "")],
        ..PLAIN
    },
    Case {
        name: "resend/api-key",
        about: "signed by another key",
        params: &[("label", "keyturn"), ("permission", "sending_access")],
        answers: &[
            (201, r#"{"id":"dacf4072","token":"NEW-KEY"}"#),
            (401, r#"{"statusCode":401,"name":"missing_api_key","message":"Missing API key"}"#),
            (403, r#"{"statusCode":403,"name":"restricted_api_key","message":"only for sending"}"#),
            (422, r#"{"statusCode":422,"name":"validation_error","message":"name is too long"}"#),
            (429, r#"{"statusCode":429,"name":"rate_limit_exceeded","message":"Too many requests"}"#),
            (500, ""),
        ],
        list: &[
            (
                200,
                labelled!(
                    r#"{"object":"list","has_more":false,"data":[{"id":"dacf4072","name":""#,
                    r#""}]}"#
                ),
            ),
            (401, r#"{"statusCode":401,"name":"missing_api_key","message":"Missing API key"}"#),
        ],
        revoke: &[
            (200, ""),
            (404, r#"{"statusCode":404,"name":"not_found","message":"Not found"}"#),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "openai/admin-key",
        about: "signed by another key",
        params: &[("label", "keyturn")],
        answers: &[
            (200, r#"{"object":"organization.admin_api_key","id":"key_abc","name":"n","value":"NEW-KEY"}"#),
            (
                401,
                r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            ),
            (
                403,
                r#"{"error":{"message":"not allowed","type":"invalid_request_error","param":null,"code":null}}"#,
            ),
            (429, r#"{"error":{"message":"Rate limit","type":"requests","code":"rate_limit_exceeded"}}"#),
            (500, ""),
        ],
        list: &[
            (
                200,
                labelled!(
                    r#"{"object":"list","data":[{"id":"key_abc","name":""#,
                    r#""}],"has_more":false,"last_id":null}"#
                ),
            ),
            (
                200,
                r#"{"object":"list","data":[{"id":"key_xyz","name":null}],"has_more":true,"last_id":"key_xyz"}"#,
            ),
            (401, r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#),
        ],
        revoke: &[
            (200, r#"{"id":"key_abc","object":"organization.admin_api_key.deleted","deleted":true}"#),
            (404, r#"{"error":{"message":"No such key","code":"not_found"}}"#),
            (401, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "stytch/m2m-secret",
        about: "signed by the project's secret",
        params: &[("project_id", "project-test-1"), ("m2m_client_id", "m2m-client-test-1")],
        scheme: Some("basic"),
        answers: &[
            (
                200,
                r#"{"status_code":200,"request_id":"r1","m2m_client":{"client_id":"m2m-client-test-1","next_client_secret":"NEW-KEY","next_client_secret_last_four":"-KEY"}}"#,
            ),
            (
                401,
                r#"{"status_code":401,"request_id":"r2","error_type":"unauthorized_credentials","error_message":"Unauthorized"}"#,
            ),
            (
                404,
                r#"{"status_code":404,"request_id":"r3","error_type":"m2m_client_not_found","error_message":"no such client"}"#,
            ),
            (
                429,
                r#"{"status_code":429,"request_id":"r4","error_type":"too_many_requests","error_message":"slow down"}"#,
            ),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "twilio/auth-token",
        about: "signed by itself",
        params: &[("account_sid", "AC0123456789abcdef0123456789abcdef")],
        itself: true,
        answers: &[
            (201, r#"{"account_sid":"AC0123456789abcdef0123456789abcdef","secondary_auth_token":"NEW-KEY"}"#),
            (401, r#"{"code":20003,"message":"Authenticate","status":401}"#),
            (409, r#"{"code":20409,"message":"a secondary token is there already","status":409}"#),
            (429, r#"{"code":20429,"message":"Too Many Requests","status":429}"#),
            (500, ""),
        ],
        ..PLAIN
    },
    Case {
        name: "twilio/api-key",
        about: "signed by the account's auth token",
        params: &[
            ("account_sid", "AC0123456789abcdef0123456789abcdef"),
            ("user", "AC0123456789abcdef0123456789abcdef"),
            ("label", "keyturn"),
        ],
        answers: &[
            (201, r#"{"sid":"SK01","friendly_name":"n","secret":"NEW-KEY","date_created":"d"}"#),
            (400, r#"{"code":20001,"message":"Invalid parameter","status":400}"#),
            (401, r#"{"code":20003,"message":"Authenticate","status":401}"#),
            (403, r#"{"code":70001,"message":"Forbidden","status":403}"#),
            (429, r#"{"code":20429,"message":"Too Many Requests","status":429}"#),
            (500, ""),
        ],
        list: &[
            (
                200,
                labelled!(
                    r#"{"keys":[{"sid":"SK01","friendly_name":""#,
                    r#""}],"meta":{"key":"keys","next_page_url":null}}"#
                ),
            ),
            (401, r#"{"code":20003,"message":"Authenticate","status":401}"#),
        ],
        revoke: &[(204, ""), (404, r#"{"code":20404,"message":"not found","status":404}"#), (401, "")],
        ..PLAIN
    },
];
