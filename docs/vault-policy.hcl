# The least policy with which keyturn works. Ready to paste; replace the four example paths:
#
#   secret/…/keyturn/*              `vault.record_prefix` (here: secret/keyturn)
#   secret/data/payments/adyen        the entry of a credential's `store` (one block for each)
#   secret/data/payments/adyen-admin  the entry of a secret that signs provider calls (one block for each)
#
#   bao policy write keyturn vault-policy.hcl     # or: vault policy write keyturn vault-policy.hcl
#
# Give no application a policy for the record prefix: records hold staged values and escrow identities.
# keyturn's preflight names each line that is missing before it calls a provider; only revoke-self may be missing.

# The records: each transition of a rotation is one check-and-set write here.
path "secret/data/keyturn/*" {
  capabilities = ["create", "update", "read"]
}

# The records' metadata: no old version is kept (max_versions), and followers read only the version's number.
path "secret/metadata/keyturn/*" {
  capabilities = ["create", "update", "read"]
}

# The application's entry: its other fields are read and written back, so "patch" would not suffice.
path "secret/data/payments/adyen" {
  capabilities = ["create", "update", "read"]
}

# What signs the calls to the provider. Not needed for a credential that signs its own regeneration.
path "secret/data/payments/adyen-admin" {
  capabilities = ["read"]
}

# The token: is it alive, and more time for it. In Vault's `default` policy too, where a role has that.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

# Tokens that keyturn got by a login end when it stops or has another. Without this they end with their lease.
path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# The preflight's question: will the writes after the provider's answer be allowed?
path "sys/capabilities-self" {
  capabilities = ["update"]
}
