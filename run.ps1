# Installs what is missing, then opens AU Desktop. All arguments go to au-desktop: .\run.ps1 --source demo
$ErrorActionPreference = "Stop"

# python3 last: Windows itself brings one that only opens a shop.
$python = @("py", "python", "python3") | Where-Object { Get-Command $_ -ErrorAction SilentlyContinue } | Select-Object -First 1
if (-not $python) {
    [Console]::Error.WriteLine("AU Desktop: Python is missing; install it with: winget install Python.Python.3.12")
    exit 2
}
& $python "$PSScriptRoot\scripts\bootstrap.py"
if ($LASTEXITCODE) { exit $LASTEXITCODE }
& "$PSScriptRoot\.venv\Scripts\au-desktop.exe" @args
exit $LASTEXITCODE
