#!/bin/sh
# Takes out of an environment what no service opens: headers, static libraries, packages' own tests.
# sh deploy/trim.sh <a virtual environment>
set -eu
site=$(echo "$1"/lib/python3*/site-packages)
find "$site" -type f \( -name '*.a' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.hpp' \
  -o -name '*.cuh' \) -delete
for package in networkx numpy pandas pyarrow scipy sklearn sympy; do
  [ ! -d "$site/$package" ] || find "$site/$package" -type d -name tests -prune -exec rm -rf {} +
done
# torch_shm_manager is what torch starts itself.
[ ! -d "$site/torch" ] || find "$site/torch/bin" -type f ! -name torch_shm_manager -delete
rm -rf "$site/torch/test" "$site/torch/include" "$site/pyarrow/include"
find "$1" -depth -type d -name __pycache__ -exec rm -rf {} +
