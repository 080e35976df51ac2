"""django-fine-uploader as a Django project in one file, for gunicorn: `project:application`.

MEDIA_ROOT comes from the environment. Everything that isn't needed here is left out (sessions, database, CSRF check),
although a real project pays for it too. In the uploader, only the two lines that Python 3 refuses are replaced; the
steps are the same.
"""

import os
import shutil
from io import StringIO
from os.path import join

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    INSTALLED_APPS=["django_fine_uploader"],
    MEDIA_ROOT=os.environ["MEDIA_ROOT"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for measuring",
)

import django

django.setup()

from django.core.wsgi import get_wsgi_application
from django.urls import path
from django_fine_uploader import fineuploader, views


class Uploader(fineuploader.ChunkedFineUploader):
    def combine_chunks(self):
        self.real_path = self.storage.save(self._full_file_path, StringIO())
        with self.storage.open(self.real_path, "wb") as final_file:  # as published: "w"
            for i in range(self.total_parts):  # as published: xrange
                with self.storage.open(join(self.chunks_path, str(i)), "rb") as source:
                    final_file.write(source.read())
        shutil.rmtree(self._abs_chunks_path)


views.ChunkedFineUploader = Uploader
urlpatterns = [path("upload/", views.FineUploaderView.as_view())]
application = get_wsgi_application()
