# Installs what is missing, then checks style, types and behaviour. All arguments go to pytest: .\test.ps1 -m "not slow"
$ErrorActionPreference = "Stop"

# python3 last: Windows itself brings one that only opens a shop.
$python = @("py", "python", "python3") | Where-Object { Get-Command $_ -ErrorAction SilentlyContinue } | Select-Object -First 1
if (-not $python) {
    [Console]::Error.WriteLine("AU Desktop: Python is missing; install it with: winget install Python.Python.3.12")
    exit 2
}
& $python "$PSScriptRoot\scripts\bootstrap.py" --dev
if ($LASTEXITCODE) { exit $LASTEXITCODE }

Set-Location $PSScriptRoot
$python = ".venv\Scripts\python.exe"
& $python -m ruff check .
if ($LASTEXITCODE) { exit $LASTEXITCODE }
& $python -m ruff format --check .
if ($LASTEXITCODE) { exit $LASTEXITCODE }
& $python -m mypy
if ($LASTEXITCODE) { exit $LASTEXITCODE }
# No test needs a screen.
if (-not $env:QT_QPA_PLATFORM) { $env:QT_QPA_PLATFORM = "offscreen" }
& $python -m pytest @args
exit $LASTEXITCODE
