package hostsim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"
)

// TestSignatures: what sign makes verify_signature accepts, of the same text only.
func TestSignatures(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]struct{ private, public any }{"RSA": {rsaKey, rsaKey.Public()}, "ECDSA": {ecKey, ecKey.Public()}} {
		private, err := x509.MarshalPKCS8PrivateKey(keys.private)
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.MarshalPKIXPublicKey(keys.public)
		if err != nil {
			t.Fatal(err)
		}
		signed, s := sign(nil, message(argHash, "SHA256", argKey, private, signText, "text"))
		made, ok := protoFields(signed)
		if s != statusOK || !ok || signed[0] != resultOK<<3 {
			t.Fatalf("%s: sign gives %v %x", name, s, signed)
		}
		signature := made[signResultSignature]
		inPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
		for what, c := range map[string]struct {
			argument []byte
			s        status
			result   []byte
		}{
			"its text":          {message(argHash, "sha256", argKey, public, verifiedSignature, signature, verifyText, "text"), statusOK, []byte{resultOK << 3, 1}},
			"a key in PEM":      {message(argHash, "sha256", verifyPEM, inPEM, verifiedSignature, signature, verifyText, "text"), statusOK, []byte{resultOK << 3, 1}},
			"another text":      {message(argHash, "sha256", argKey, public, verifiedSignature, signature, verifyText, "x"), statusOK, message(verifyResultError, errVerify.Error())},
			"an unknown hash":   {message(argHash, "md5", argKey, public, verifiedSignature, signature, verifyText, "text"), statusOK, message(verifyResultError, "md5 is not supported.")},
			"two keys":          {message(argHash, "sha256", argKey, public, verifyPEM, inPEM, verifiedSignature, signature), statusBadArgument, nil},
			"no key":            {message(argHash, "sha256", verifiedSignature, signature, verifyText, "text"), statusBadArgument, nil},
			"the private key":   {message(argHash, "sha256", argKey, private, verifiedSignature, signature), statusOK, message(verifyResultError, "Failed to initialize digest verify.")},
			"no message at all": {[]byte("x"), statusBadArgument, nil},
		} {
			if result, s := verifySignature(nil, c.argument); s != c.s || !bytes.Equal(result, c.result) {
				t.Errorf("%s, %s: %v %q, want %v %q", name, what, s, result, c.s, c.result)
			}
		}
	}
}

// message is one of strings or bytes, given as field, value, ….
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		value, ok := fields[i+1].([]byte)
		if !ok {
			value = []byte(fields[i+1].(string))
		}
		b = appendProtoBytes(b, uint64(fields[i].(int)), value)
	}
	return b
}
