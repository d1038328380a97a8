package phone

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"errors"
)

// contentCipher is a block cipher in CBC mode.
type contentCipher struct {
	id    oid
	key   int // bytes
	block func(key []byte) (cipher.Block, error)
}

var contentCiphers = []contentCipher{
	{oidAES128, 16, aes.NewCipher},
	{oidAES192, 24, aes.NewCipher},
	{oidAES256, 32, aes.NewCipher},
	{oid3DES, 24, des.NewTripleDESCipher},
}

func cipherOf(id oid) *contentCipher {
	for _, c := range contentCiphers {
		if c.id.Equal(id) {
			return &c
		}
	}
	return nil
}

// decryptCBC decrypts and removes the padding.
func decryptCBC(block cipher.Block, iv, text []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(iv) != size || len(text) == 0 || len(text)%size != 0 {
		return nil, errors.New("ciphertext or IV of a wrong length")
	}
	plain := make([]byte, len(text))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text)
	n := int(plain[len(plain)-1])
	if n == 0 || n > size || !bytes.Equal(plain[len(plain)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errors.New("wrong padding after decryption")
	}
	return plain[:len(plain)-n], nil
}

// pad returns a copy of b, padded to whole blocks.
func pad(b []byte, size int) []byte {
	n := size - len(b)%size
	return append(bytes.Clone(b), bytes.Repeat([]byte{byte(n)}, n)...)
}
