# Installs what is missing, then checks style, types and behaviour. All arguments go to pytest: .\test.ps1 -m "not slow"
$ErrorActionPreference = "Stop"

# Each must show that it runs: the python and python3 that Windows itself brings only open a shop.
$python = @("py", "python", "python3") | Where-Object { Get-Command $_ -ErrorAction SilentlyContinue } |
    Where-Object { try { $null = & $_ -c "pass"; $LASTEXITCODE -eq 0 } catch { $false } } | Select-Object -First 1
if (-not $python) {
    [Console]::Error.WriteLine("AU Desktop: Python is missing; install it with: winget install Python.Python.3.12, then open a new window of PowerShell")
    exit 2
}
& $python "$PSScriptRoot\scripts\bootstrap.py" --dev
if ($LASTEXITCODE) { exit $LASTEXITCODE }

# What is changed here, folder or variable, would stay so in the person's window. The tests themselves ask for no screen.
Push-Location -LiteralPath $PSScriptRoot
try {
    $python = ".venv\Scripts\python.exe"
    & $python -m ruff check .
    if ($LASTEXITCODE) { exit $LASTEXITCODE }
    & $python -m ruff format --check .
    if ($LASTEXITCODE) { exit $LASTEXITCODE }
    & $python -m mypy
    if ($LASTEXITCODE) { exit $LASTEXITCODE }
    & $python -m pytest @args
    exit $LASTEXITCODE
}
finally {
    Pop-Location
}
