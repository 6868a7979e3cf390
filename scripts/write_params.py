"""Write params.yaml from conf/ and the overrides given, e.g. `make params ARGS=cohort=loris`."""

import sys
from pathlib import Path

from immunocast.config import check, load_config, params_yaml
from immunocast.errors import ImmunocastError

if __name__ == "__main__":
    try:
        cfg = load_config(sys.argv[1:])
        check(cfg)
    except ImmunocastError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    path = Path(__file__).parents[1] / "params.yaml"
    path.write_text(params_yaml(cfg))
    print(f"Wrote {path}")
