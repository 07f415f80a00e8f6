# Vault, for the time when the service uses it: see docs/OPERATIONS.md. Reached only from within the network of the compose file.
storage "raft" {
  path    = "/vault/file"
  node_id = "vault-1"
}
listener "tcp" {
  address     = "0.0.0.0:8200"
  tls_disable = true
}
api_addr     = "http://vault:8200"
cluster_addr = "http://vault:8201"
ui           = false
