"""How good a detector is: error measures, one loop over rows, reports and calibration."""
