# Loads the CA certificates in {{.File}} into the S/MIME configuration of an
# Exchange organisation. Made by "signet exchange bundle" on {{.Day}}.
#
# Who runs it, and where: an Exchange administrator (role group Organization
# Management), once for the organisation, on any machine with PowerShell and
# the module ExchangeOnlineManagement. For Exchange on your own servers, run it
# in the Exchange Management Shell and leave the Connect line out. In a hybrid
# organisation do both: the Hybrid Configuration Wizard does not copy this.
#
# What it does: from then on Exchange validates signatures and recipients'
# certificates against these CAs (Exchange Online: against these alone).
# EVERY CA BELOW IS TRUSTED FOR EVERYBODY'S MAIL. Look at the list first:
#
{{- range .CAs}}
#   {{.}}
{{- else}}
#   (none)
{{- end}}
#
# The first of them expires on {{.End}}. Make and load a new file before that:
# Exchange refuses a file with an expired certificate in it.
#
# It is not documented whether Set-SmimeConfig adds to the collection or
# replaces it. CAs of others that your organisation uses must therefore be in
# the file as well: signet exchange bundle --add-ca FILE.
#
# The authors of Signet have not run this script against a real tenant. Try it
# with -WhatIf behind the Set-SmimeConfig line.

$ErrorActionPreference = 'Stop'
$file = Join-Path $PSScriptRoot '{{.File}}'
if ((Get-FileHash -Algorithm SHA256 -LiteralPath $file).Hash -ne '{{.SHA256}}') {
    throw "$file is not the file that this script was made for."
}

Connect-ExchangeOnline
Set-SmimeConfig -SMIMECertificateIssuingCA ([System.IO.File]::ReadAllBytes($file))
Get-SmimeConfig

# Worth a thought for Outlook on the web; each changes what people see, so it
# is not done here. Without the first, signatures are made with SHA-1.
# Set-SmimeConfig -OWASigningAlgorithms '800C;800E'
# Set-SmimeConfig -OWAIncludeCertificateChainWithoutRootCertificate $true
# Set-SmimeConfig -OWAIncludeSMIMECapabilitiesInMessage $true
