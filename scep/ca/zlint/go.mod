module github.com/signet-mdm/signet/scep/ca/zlint

go 1.26.0

require (
	github.com/signet-mdm/signet v0.0.0
	github.com/zmap/zcrypto v0.0.0-20260906180147-3ed30b1e9340
	github.com/zmap/zlint/v3 v3.7.3
	golang.org/x/crypto v0.58.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/micromdm/scep/v2 v2.3.0 // indirect
	github.com/pelletier/go-toml v1.9.5 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/smallstep/pkcs7 v0.2.3 // indirect
	github.com/weppos/publicsuffix-go v0.50.4-0.20260821095816-b0fdb5c2d345 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace github.com/signet-mdm/signet => ../../..

// The version that zlint names is in no registry any more.
replace github.com/weppos/publicsuffix-go => github.com/weppos/publicsuffix-go v0.50.3
