# Installs what is missing, then opens AU Desktop. All arguments go to au-desktop: .\run.ps1 --source demo
$ErrorActionPreference = "Stop"

# Each must show that it runs: the python and python3 that Windows itself brings only open a shop.
$python = @("py", "python", "python3") | Where-Object { Get-Command $_ -ErrorAction SilentlyContinue } |
    Where-Object { try { $null = & $_ -c "pass"; $LASTEXITCODE -eq 0 } catch { $false } } | Select-Object -First 1
if (-not $python) {
    [Console]::Error.WriteLine("AU Desktop: Python is missing; install it with: winget install Python.Python.3.12, then open a new window of PowerShell")
    exit 2
}
& $python "$PSScriptRoot\scripts\bootstrap.py"
if ($LASTEXITCODE) { exit $LASTEXITCODE }
& "$PSScriptRoot\.venv\Scripts\au-desktop.exe" @args
exit $LASTEXITCODE
