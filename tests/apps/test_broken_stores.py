"""What is missing, damaged or away is told in a sentence, by every page, and the app goes on when it is back."""

import os
import shutil
from contextlib import closing
import sqlite3
from pathlib import Path
from urllib.error import URLError

import mlflow
import pytest
from apps_pages import PAGES, QUESTIONS, opened, spoken
from conftest_free import nothing
