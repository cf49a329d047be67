package hostsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // Envoy has it, too
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"strings"
)

// Fields of the messages of Envoy's sign and verify_signature.
const (
	argHash, argKey                          = 1, 2
	signText, signPEM                        = 3, 4
	verifiedSignature, verifyText, verifyPEM = 3, 4, 5
	resultOK                                 = 1
	signResultSignature, signResultError     = 2, 3
	verifyResultError                        = 2
)

// hashes are the names that Envoy knows.
var hashes = map[string]crypto.Hash{
	"sha1": crypto.SHA1, "sha224": crypto.SHA224, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
}

var errVerify = errors.New("Failed to verify digest. Error code: 0") // Envoy's words

// digest hashes text; the error is Envoy's.
func digest(hash string, text []byte) (crypto.Hash, []byte, error) {
	h, ok := hashes[strings.ToLower(hash)]
	if !ok {
		return 0, nil, errors.New(hash + " is not supported.")
	}
	d := h.New()
	d.Write(text)
	return h, d.Sum(nil), nil
}

// keyBytes are a key in DER, given so or as PEM; false for none or both.
func keyBytes(der, text []byte) (key []byte, ok bool) {
	if (len(der) > 0) == (len(text) > 0) {
		return nil, false
	}
	if block, _ := pem.Decode(text); block != nil {
		return block.Bytes, true
	}
	return der, true
}

func verifySignature(_ *vmContext, argument []byte) ([]byte, status) {
	f, ok := protoFields(argument)
	if !ok {
		return nil, statusBadArgument
	}
	der, ok := keyBytes(f[argKey], f[verifyPEM])
	if !ok {
		return nil, statusBadArgument
	}
	key, _ := x509.ParsePKIXPublicKey(der) // nil is no key of any kind
	return signatureResult(nil, verify(key, string(f[argHash]), f[verifyText], f[verifiedSignature]), verifyResultError), statusOK
}

func verify(key any, hash string, text, signature []byte) error {
	h, sum, err := digest(hash, text)
	if err != nil {
		return err
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		err = rsa.VerifyPKCS1v15(key, h, sum, signature)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, sum, signature) {
			err = errVerify
		}
	default:
		return errors.New("Failed to initialize digest verify.")
	}
	if err != nil {
		return errVerify
	}
	return nil
}

func sign(_ *vmContext, argument []byte) ([]byte, status) {
	f, ok := protoFields(argument)
	if !ok {
		return nil, statusBadArgument
	}
	der, ok := keyBytes(f[argKey], f[signPEM])
	if !ok {
		return nil, statusBadArgument
	}
	made, err := signed(der, string(f[argHash]), f[signText])
	return signatureResult(made, err, signResultError), statusOK
}

func signed(der []byte, hash string, text []byte) ([]byte, error) {
	h, sum, err := digest(hash, text)
	if err != nil {
		return nil, err
	}
	key, _ := x509.ParsePKCS8PrivateKey(der)
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("Invalid key type: private key required for signing operation.")
	}
	return signer.Sign(rand.Reader, sum, h)
}

// signatureResult is the message with which both answer.
func signatureResult(made []byte, err error, errField uint64) []byte {
	var b []byte
	if err == nil {
		b = append(b, resultOK<<3, 1)
	} else {
		b = appendProtoBytes(b, errField, []byte(err.Error()))
	}
	if len(made) > 0 {
		b = appendProtoBytes(b, signResultSignature, made)
	}
	return b
}

func appendProtoBytes(b []byte, field uint64, value []byte) []byte {
	b = binary.AppendUvarint(b, field<<3|2)
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}
